// The client example speaks to podd as any program can: it applies a pod, waits
// until it is ready, reads its log, runs a command in it, and deletes it.
//
//	go run ./examples/client -address unix:///run/podd/podd.sock -image busybox:1.36
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

func main() {
	address := flag.String("address", "unix:///run/podd/podd.sock", "podd's control endpoint")
	image := flag.String("image", "busybox:1.36", "an image with a shell")
	flag.Parse()
	// Go clients receive 4 MiB at most unless told otherwise; podd sends up to 32.
	conn, err := grpc.NewClient(*address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel() // ends the watch, and the following of the log
	if err := live(ctx, poddv1.NewObjectsClient(conn), poddv1.NewStreamsClient(conn), *image); err != nil {
		log.Fatal(err)
	}
}

// live is the whole life of a pod.
func live(ctx context.Context, objects poddv1.ObjectsClient, streams poddv1.StreamsClient, image string) error {
	p, err := apply(ctx, objects, image)
	if err != nil {
		return fmt.Errorf("apply a pod: %w", err)
	}
	fmt.Println("applied", p.Name)
	changes, err := objects.Watch(ctx, &poddv1.WatchRequest{Kinds: []string{"Pod"}, FieldSelector: "metadata.name=" + p.Name})
	if err != nil {
		return err
	}
	if err := await(changes, ready); err != nil {
		return fmt.Errorf("wait until it is ready: %w", err)
	}
	fmt.Println("ready")
	ref := &poddv1.PodRef{Name: p.Name, Uid: string(p.UID)} // this very pod, not its successor
	if err := printLog(ctx, streams, ref); err != nil {
		return fmt.Errorf("read its log: %w", err)
	}
	if err := execute(ctx, streams, ref, "hostname"); err != nil {
		return fmt.Errorf("run a command in it: %w", err)
	}
	end := &poddv1.DeleteRequest{Ref: &poddv1.ObjectRef{Kind: "Pod", Name: p.Name}, GracePeriodSeconds: proto.Int64(2)}
	if _, err := objects.Delete(ctx, end); err != nil {
		return fmt.Errorf("delete it: %w", err)
	}
	gone := func(kind poddv1.WatchResponse_Type, _ *corev1.Pod) bool {
		return kind == poddv1.WatchResponse_TYPE_DELETED
	}
	if err := await(changes, gone); err != nil {
		return fmt.Errorf("wait until it is gone: %w", err)
	}
	fmt.Println("gone")
	return nil
}

// apply gives the pod as podd stored it: with its uid, and with defaults.
func apply(ctx context.Context, objects poddv1.ObjectsClient, image string) (*corev1.Pod, error) {
	p := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "example"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: image, Command: []string{"sh", "-c", "echo good day; exec sleep 1000"},
		}}},
	}
	raw, _ := json.Marshal(p) // it can't fail
	resp, err := objects.Apply(ctx, &poddv1.ApplyRequest{Objects: []*poddv1.Object{{ApiVersion: "v1", Kind: "Pod", Json: raw}}})
	if err != nil {
		return nil, err
	}
	return p, json.Unmarshal(resp.Results[0].Object.Json, p)
}

func ready(_ poddv1.WatchResponse_Type, p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// await reads changes until one is what is waited for.
func await(changes grpc.ServerStreamingClient[poddv1.WatchResponse], is func(poddv1.WatchResponse_Type, *corev1.Pod) bool) error {
	for {
		change, err := changes.Recv()
		if err != nil {
			return err
		}
		var p corev1.Pod
		if change.Object == nil { // SYNCED, BOOKMARK
			continue
		}
		if err := json.Unmarshal(change.Object.Json, &p); err != nil || is(change.Type, &p) {
			return err
		}
	}
}

// printLog follows the log to the first that is in it.
func printLog(ctx context.Context, streams poddv1.StreamsClient, ref *poddv1.PodRef) error {
	pieces, err := streams.Logs(ctx, &poddv1.LogsRequest{Pod: ref, Follow: true})
	if err != nil {
		return err
	}
	piece, err := pieces.Recv()
	fmt.Printf("%s", piece.GetData())
	return err
}

// execute runs a command without input and prints what it prints.
func execute(ctx context.Context, streams poddv1.StreamsClient, ref *poddv1.PodRef, command ...string) error {
	stream, err := streams.Exec(ctx)
	if err == nil {
		start := &poddv1.ExecRequest_Start_{Start: &poddv1.ExecRequest_Start{Pod: ref, Command: command}}
		err = stream.Send(&poddv1.ExecRequest{Kind: start})
	}
	if err != nil {
		return err
	}
	for {
		resp, err := stream.Recv()
		if err != nil {
			return err
		}
		fmt.Printf("%s%s", resp.Output.GetStdout(), resp.Output.GetStderr())
		if exit := resp.Output.GetExit(); exit != nil {
			fmt.Println("it exited with", exit.Code)
			return nil
		}
	}
}
