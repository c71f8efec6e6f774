package agent

import (
	"sync"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

// encodingsBound is how many bytes of JSON are kept for the next watch.
const encodingsBound = 4 << 20

// encodings keep what was sent last as it travels: the same change goes to all
// watches, and those that don't read hold on to it. Objects never change, so
// they stand for their JSON.
type encodings struct {
	mu    sync.Mutex
	wired map[Object]*poddv1.Object
	order []Object // of wired, oldest first
	bytes int
}

func newEncodings() *encodings { return &encodings{wired: map[Object]*poddv1.Object{}} }

// wire is an object as it travels; it is shared, and nobody changes it.
func (c *encodings) wire(obj Object) (*poddv1.Object, error) {
	if w := c.known(obj); w != nil {
		return w, nil
	}
	w, err := wire(obj)
	if err != nil {
		return nil, err
	}
	return c.keep(obj, w), nil
}

func (c *encodings) known(obj Object) *poddv1.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wired[obj]
}

// keep gives w, or what somebody else has kept meanwhile.
func (c *encodings) keep(obj Object, w *poddv1.Object) *poddv1.Object {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first := c.wired[obj]; first != nil {
		return first
	}
	c.wired[obj] = w
	c.order = append(c.order, obj)
	c.bytes += len(w.Json)
	for c.bytes > encodingsBound {
		oldest := c.order[0]
		c.bytes -= len(c.wired[oldest].Json)
		delete(c.wired, oldest)
		c.order[0] = nil
		c.order = c.order[1:]
	}
	return w
}

// sharing is the protobuf codec that does not copy a watched object's JSON:
// all streams that wait to be read share it.
type sharing struct{ encoding.CodecV2 }

func newSharing() sharing { return sharing{encoding.GetCodecV2(proto.Name)} }

// Marshal writes a watch's object last in its message, and the JSON last in it:
// the order of fields is the writer's to choose.
func (s sharing) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*poddv1.WatchResponse)
	if !ok || r.Object == nil || len(r.Object.Json) == 0 {
		return s.CodecV2.Marshal(v)
	}
	json := protowire.AppendTag(nil, 3, protowire.BytesType)
	json = protowire.AppendVarint(json, uint64(len(r.Object.Json)))
	object := appendString(appendString(nil, 1, r.Object.ApiVersion), 2, r.Object.Kind)
	object = append(object, json...)

	head := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(r.Type))
	head = protowire.AppendVarint(protowire.AppendTag(head, 3, protowire.VarintType), r.Revision)
	head = protowire.AppendTag(head, 2, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(object)+len(r.Object.Json)))
	return mem.BufferSlice{mem.SliceBuffer(append(head, object...)), mem.SliceBuffer(r.Object.Json)}, nil
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}
