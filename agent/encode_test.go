package agent

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
)

func TestTheSharingCodecWritesWhatProtobufReads(t *testing.T) {
	object := &poddv1.Object{ApiVersion: "v1", Kind: "Pod", Json: []byte(`{"a":1}`)}
	for _, want := range []proto.Message{
		&poddv1.WatchResponse{Type: poddv1.WatchResponse_TYPE_DELETED, Object: object, Revision: 1 << 40},
		&poddv1.WatchResponse{Type: poddv1.WatchResponse_TYPE_ADDED, Object: &poddv1.Object{Json: []byte(strings.Repeat("x", 1<<20))}},
		&poddv1.WatchResponse{Type: poddv1.WatchResponse_TYPE_SYNCED, Revision: 7},
		&poddv1.WatchResponse{Object: &poddv1.Object{Kind: "Pod"}},
		&poddv1.GetResponse{Object: object},
	} {
		raw, err := newSharing().Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got := want.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(raw.Materialize(), got); err != nil || !proto.Equal(want, got) {
			t.Errorf("%v became %v, %v", want, got, err)
		}
	}
}

func TestAWatchedObjectIsEncodedOnce(t *testing.T) {
	c := newEncodings()
	first := configMap("a", nil).Object
	a, err := c.wire(first)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := c.wire(first); again != a {
		t.Error("it is encoded again")
	}
	for range 20 {
		e := configMap("large", map[string]string{"a": strings.Repeat("x", 1<<20)})
		if _, err := c.wire(e.Object); err != nil {
			t.Fatal(err)
		}
		if c.bytes > encodingsBound || len(c.order) != len(c.wired) {
			t.Fatalf("%d bytes of %d objects in order, %d in all", c.bytes, len(c.order), len(c.wired))
		}
	}
	if c.known(first) != nil {
		t.Error("the oldest is not forgotten")
	}
}
