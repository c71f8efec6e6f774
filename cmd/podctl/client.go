package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// maxMessage is a little over podd's 32 MiB, so that podd's own limit speaks.
const maxMessage = 33 << 20

// client is a connection to podd.
type client struct {
	conn    *grpc.ClientConn
	objects poddv1.ObjectsClient
	streams poddv1.StreamsClient
	images  poddv1.ImagesClient
	node    poddv1.NodeClient
	insight poddv1.InsightClient
}

// connect makes a client for the endpoint in force. It does not wait for podd:
// the first call finds out whether it is there. The caller closes it.
func (s *session) connect() (*client, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	target, err := grpcTarget(s.endpoint())
	if err != nil {
		return nil, err
	}
	transport, err := s.transport(target)
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithUnaryInterceptor(deadline(s.requestTimeout)),
	}
	if s.dialer != nil {
		options = append(options, grpc.WithContextDialer(s.dialer))
	}
	conn, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to podd at %s: %w", s.endpoint(), err)
	}
	return &client{
		conn:    conn,
		objects: poddv1.NewObjectsClient(conn),
		streams: poddv1.NewStreamsClient(conn),
		images:  poddv1.NewImagesClient(conn),
		node:    poddv1.NewNodeClient(conn),
		insight: poddv1.NewInsightClient(conn),
	}, nil
}

// grpcTarget is the address as grpc wants it: unix:///run/podd/podd.sock, or
// only the path of the socket; or tcp://HOST:PORT.
func grpcTarget(address string) (string, error) {
	if hostPort, ok := strings.CutPrefix(address, tcpScheme); ok {
		if _, _, err := net.SplitHostPort(hostPort); err != nil {
			return "", fmt.Errorf("address %q is not tcp://HOST:PORT: %w", address, err)
		}
		return "dns:///" + hostPort, nil
	}
	path := strings.TrimPrefix(strings.TrimPrefix(address, "unix://"), "unix:")
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("address %q is neither a unix socket's, such as %s, nor tcp://HOST:PORT", address, defaultAddress)
	}
	return "unix://" + path, nil
}

func (c *client) close() { _ = c.conn.Close() }

// deadline gives every call that has one answer a limit; 0 is none.
func deadline(limit time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if limit > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
		return invoke(ctx, method, req, reply, conn, opts...)
	}
}

// get reads one object.
func (c *client) get(ctx context.Context, r ref) (*unstructured.Unstructured, error) {
	if r.kind.isImage() {
		return c.getImage(ctx, r.name)
	}
	resp, err := c.objects.Get(ctx, &poddv1.GetRequest{Ref: r.proto()})
	if err != nil {
		return nil, err
	}
	return decode(resp.GetObject())
}

// list reads the objects of one kind; an empty namespace is all.
func (c *client) list(ctx context.Context, k kind, namespace, labels, fields string) ([]*unstructured.Unstructured, error) {
	if k.isImage() {
		return c.listImages(ctx)
	}
	resp, err := c.objects.List(ctx, &poddv1.ListRequest{
		Kind: k.name, Namespace: namespace, LabelSelector: labels, FieldSelector: fields,
	})
	if err != nil {
		return nil, err
	}
	objects := make([]*unstructured.Unstructured, 0, len(resp.GetObjects()))
	for _, o := range resp.GetObjects() {
		object, err := decode(o)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// decode is an object of the API as Kubernetes' tools take it.
func decode(o *poddv1.Object) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(o.GetJson()); err != nil {
		return nil, fmt.Errorf("decode a %s from podd: %w", o.GetKind(), err)
	}
	return object, nil
}
