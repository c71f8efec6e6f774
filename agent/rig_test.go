package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/podd-io/podd/agent"
	"github.com/podd-io/podd/agent/admit"
	"github.com/podd-io/podd/agent/fake"
	"github.com/podd-io/podd/agent/store"
	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/pod"
)

// The fake world has all ports.
var (
	_ agent.Store      = fake.Store{}
	_ agent.Store      = &fake.Disk{}
	_ agent.Store      = &store.Store{}
	_ agent.Images     = fake.Images{}
	_ agent.ImageStore = fake.Images{}
	_ agent.Sandboxes  = fake.Sandboxes{}
	_ agent.Containers = fake.Containers{}
	_ agent.Execer     = fake.Containers{}
	_ agent.Attacher   = fake.Containers{}
	_ agent.Files      = fake.Containers{}
	_ agent.Dialer     = fake.Dialer{}
	_ agent.Volumes    = fake.Volumes{}
	_ agent.Cgroups    = fake.Cgroups{}
	_ agent.Network    = fake.Network{}
	_ agent.Logs       = fake.Logs{}
	_ agent.Prober     = fake.Prober{}
	_ agent.Caller     = fake.Prober{}
	_ agent.Observer   = fake.Observer{}
	_ agent.Host       = fake.Host{}
	_ agent.Disks      = fake.Disks{}
	_ agent.Usage      = &fake.Usage{}
)

// myself is a process of one phase.
type myself struct{}

func (myself) Phases() []agent.Phase {
	return []agent.Phase{{Name: "prepare", Began: time.Unix(1, 0), Ended: time.Unix(2, 0)}}
}

func (myself) Log() []byte { return []byte("the end of the log\n") }

func (myself) State(w io.Writer) error {
	_, err := io.WriteString(w, "the state\n")
	return err
}

// rig is a world, a disk, and one podd after the other on them.
type rig struct {
	t     *testing.T
	world *fake.World
	disk  *fake.Disk
	// backing is disk, or a store of its own.
	backing fake.Backing
	limits  agent.Limits
	// logMaxAge is how long logs of finished pods are kept.
	logMaxAge time.Duration
	finished  pod.FinishedPolicy
	log       *zap.Logger
	meter     *tally
	// reconfigure, if it is set, changes what the next podd is made of.
	reconfigure func(*agent.Config)

	working func(context.Context) error
	tracer  agent.Tracer

	life *life
	// impatient: start does not wait until podd is ready.
	impatient bool
	// tolerant: podd is started until it runs.
	tolerant bool
	// contents are the hashes that the pods' volume cfg had.
	contents map[string]bool
	// mirror is what a watcher makes of what it is sent; nil without one.
	mirror *mirror
}

// life is one podd.
type life struct {
	session *fake.Session
	agent   *agent.Agent
	end     context.CancelFunc
	ran     chan error
	served  chan error
	conn    *grpc.ClientConn
	objects poddv1.ObjectsClient
	streams poddv1.StreamsClient
	images  poddv1.ImagesClient
	node    poddv1.NodeClient
}

// inBubble runs a test in virtual time, on a fresh world with a running podd.
func inBubble(t *testing.T, f func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.abandon()
		r.start()
		f(t, r)
		r.stop()
		r.checkNow()
	})
}

func newRig(t *testing.T) *rig {
	t.Helper()
	disk := &fake.Disk{}
	r := &rig{t: t, world: fake.New(), disk: disk, backing: disk, contents: map[string]bool{}, meter: &tally{acted: map[pod.Kind]int{}, left: map[string]int{}, came: map[agent.Milestone][]time.Duration{}},
		tracer: agent.Untraced{}, working: func(context.Context) error { return nil }, log: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel+1))}
	r.world.Store("app")
	r.world.CheckMemos(func(uid types.UID) *pod.Durable {
		if strings.HasPrefix(string(uid), "orphan") || r.backing != fake.Backing(r.disk) {
			return nil
		}
		return r.remembered(uid)
	})
	return r
}

// remembered is what is on disk of a pod; empty for nothing.
func (r *rig) remembered(uid types.UID) *pod.Durable {
	var stored struct{ Memo pod.Durable }
	if raw := r.disk.Memo(uid); len(raw) > 0 {
		if err := json.Unmarshal(raw, &stored); err != nil {
			panic(err)
		}
	}
	return &stored.Memo
}

func (r *rig) config(s *fake.Session) agent.Config {
	return agent.Config{
		Store: s.Store(r.backing), Admitter: admit.New(), Images: s.Images(), ImageStore: s.Images(),
		Sandboxes: s.Sandboxes(), Containers: s.Containers(), Execer: s.Containers(), Attacher: s.Containers(), Files: s.Containers(), Dialer: s.Dialer(), Volumes: s.Volumes(),
		Cgroups: s.Cgroups(), Network: s.Network(), Logs: s.Logs(), Prober: s.Prober(), Caller: s.Prober(), Observer: s.Observer(), Host: s.Host(), Conditions: r.world,
		Tracer: r.tracer, Self: myself{}, Facts: r.world.Facts, Meter: r.meter, Backup: func(io.Writer) error { return nil }, Working: func(ctx context.Context) error { return r.working(ctx) },
		Disks: s.Disks(), Usage: s.Usage(), Collected: func(string, string) {},
		Settings: agent.Settings{Collection: pod.CollectPolicy{High: 85, Low: 80, MinAge: 2 * time.Minute, LogMaxAge: r.logMaxAge}, Finished: r.finished},
		Limits:   r.limits, Log: r.log,
	}
}

// start starts a podd and waits until it is ready.
func (r *rig) start() {
	r.t.Helper()
	l := &life{session: r.world.Begin(), ran: make(chan error, 1), served: make(chan error, 1)}
	cfg := r.config(l.session)
	if r.reconfigure != nil {
		r.reconfigure(&cfg)
	}
	a, err := agent.New(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	l.agent, l.end = a, end
	lis := bufconn.Listen(1 << 20)
	go func() { l.ran <- a.Run(ctx) }()
	go func() { l.served <- a.Serve(ctx, lis) }()
	l.conn, err = grpc.NewClient("passthrough:///podd", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return lis.Dial() }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		r.t.Fatal(err)
	}
	l.objects, l.streams = poddv1.NewObjectsClient(l.conn), poddv1.NewStreamsClient(l.conn)
	l.images, l.node = poddv1.NewImagesClient(l.conn), poddv1.NewNodeClient(l.conn)
	r.life = l
	for !a.Ready() && !r.impatient {
		select {
		case <-l.session.Killed():
			return
		case err := <-l.ran:
			l.ran <- err
			if !r.tolerant {
				r.t.Fatalf("podd does not run: %v", err)
			}
			_ = r.finish()
			r.start()
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// stop ends podd in good order.
func (r *rig) stop() {
	r.t.Helper()
	if err := r.finish(); err != nil {
		r.t.Errorf("podd's end: %v", err)
	}
}

// abandon ends what a failed test has left.
func (r *rig) abandon() {
	if r.life != nil {
		r.kill()
	}
}

// kill ends podd as SIGKILL does.
func (r *rig) kill() {
	r.life.session.Kill()
	_ = r.finish() // a killed podd says nothing
}

func (r *rig) finish() error {
	r.mirror.close()
	r.mirror = nil
	r.life.end()
	err := errors.Join(<-r.life.ran, <-r.life.served, r.life.conn.Close())
	r.life = nil
	return err
}

// restart kills podd and starts the next one.
func (r *rig) restart() {
	r.t.Helper()
	r.kill()
	r.start()
}

// reviveIfKilled starts the next podd if a fault has killed this one.
func (r *rig) reviveIfKilled() {
	r.t.Helper()
	for {
		select {
		case <-r.life.session.Killed():
			r.restart()
		default:
			return
		}
	}
}

// insist calls until it goes well, through faults and deaths of podd.
func (r *rig) insist(what string, call func() error) {
	r.t.Helper()
	for range 10 {
		synctest.Wait()
		r.reviveIfKilled()
		err := call()
		if err == nil {
			return
		}
		what = fmt.Sprintf("%s: %v", what, err)
		time.Sleep(time.Second)
	}
	r.t.Fatalf("%s\n%s", what, r.picture())
}

// until lets time pass until something is so, checking everything on the way.
func (r *rig) until(what string, within time.Duration, is func() bool) {
	r.t.Helper()
	for began := time.Now(); ; time.Sleep(min(time.Second, 10*time.Millisecond+time.Since(began)/20)) {
		synctest.Wait()
		r.reviveIfKilled()
		r.checkNow()
		if is() {
			return
		}
		if time.Since(began) > within {
			r.t.Fatalf("after %v still not: %s\n%s", within, what, r.picture())
		}
	}
}

// pass lets time pass, checking everything on the way.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(time.Until(end), time.Second))
		synctest.Wait()
		r.checkNow()
	}
}

// checkNow holds the whole state against what always has to be so.
func (r *rig) checkNow() {
	r.t.Helper()
	if r.life != nil {
		for _, p := range r.life.agent.Snapshot().Pods() {
			if hash := r.world.Volumes(p.UID)["cfg"]; hash != "" {
				r.contents[hash] = true
			}
		}
	}
	for _, wrong := range r.world.Wrong() {
		r.t.Errorf("the world says: %s", wrong)
	}
	if r.mirror != nil {
		for _, wrong := range r.mirror.wrongs() {
			r.t.Errorf("a watcher says: %s", wrong)
		}
	}
	if r.t.Failed() {
		r.t.Fatal(r.picture())
	}
}

// picture is everything in a few lines.
func (r *rig) picture() string {
	var b strings.Builder
	if r.life != nil {
		for _, p := range r.life.agent.Snapshot().Pods() {
			fmt.Fprintf(&b, "%s/%s %s deleted=%v %v\n", p.Namespace, p.Name, p.Status.Phase, p.DeletionTimestamp != nil, p.Status.ContainerStatuses)
		}
		for _, e := range r.life.agent.Snapshot().List(agent.KindEvent) {
			ev := e.Object.(*corev1.Event)
			fmt.Fprintf(&b, "event %s %s x%d: %s\n", ev.InvolvedObject.Name, ev.Reason, ev.Count, ev.Message)
		}
	}
	fmt.Fprintf(&b, "in the world: %s\n", strings.Join(r.world.Leftovers(), "; "))
	return b.String()
}

// podNamed makes a pod; edit may be nil.
func podNamed(name string, edit func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "app"}}},
	}
	if edit != nil {
		edit(p)
	}
	return p
}

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data,
	}
}

// travel is an object as it travels.
func travel(t *testing.T, obj agent.Object) *poddv1.Object {
	t.Helper()
	raw, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	// A real client leaves the status out.
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "status")
	if raw, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	return &poddv1.Object{ApiVersion: "v1", Kind: obj.GetObjectKind().GroupVersionKind().Kind, Json: raw}
}

func (r *rig) try(req *poddv1.ApplyRequest, objs ...agent.Object) (*poddv1.ApplyResponse, error) {
	r.t.Helper()
	for _, o := range objs {
		req.Objects = append(req.Objects, travel(r.t, o))
	}
	return r.life.objects.Apply(r.t.Context(), req)
}

func (r *rig) apply(objs ...agent.Object) *poddv1.ApplyResponse {
	r.t.Helper()
	resp, err := r.try(&poddv1.ApplyRequest{}, objs...)
	if err != nil {
		r.t.Fatalf("apply: %v", err)
	}
	return resp
}

func ref(kind, name string) *poddv1.ObjectRef { return &poddv1.ObjectRef{Kind: kind, Name: name} }

func (r *rig) delete(name string, edit func(*poddv1.DeleteRequest)) {
	r.t.Helper()
	req := &poddv1.DeleteRequest{Ref: ref("Pod", name)}
	if edit != nil {
		edit(req)
	}
	if _, err := r.life.objects.Delete(r.t.Context(), req); err != nil {
		r.t.Fatalf("delete %s: %v", name, err)
	}
}

// pod is a pod as it is now, nil when there is none.
func (r *rig) pod(name string) *corev1.Pod {
	e := r.life.agent.Snapshot().Get(store.Key{Kind: "Pod", Namespace: "default", Name: name})
	if e == nil {
		return nil
	}
	return e.Pod()
}

func (r *rig) isReady(name string) bool {
	p := r.pod(name)
	return p != nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func (r *rig) untilReady(name string) {
	r.t.Helper()
	r.until(name+" is ready", time.Minute, func() bool { return r.isReady(name) })
}

func (r *rig) untilGone(name string) {
	r.t.Helper()
	r.until(name+" is gone", 10*time.Minute, func() bool { return r.pod(name) == nil })
}

// events are the reasons of a pod's events, with how often they came.
func (r *rig) events(name string) map[string]int32 {
	all := map[string]int32{}
	for _, e := range r.life.agent.Snapshot().List(agent.KindEvent) {
		if ev := e.Object.(*corev1.Event); ev.InvolvedObject.Name == name {
			all[ev.Reason] += ev.Count
		}
	}
	return all
}

// mirror is a watcher that keeps what it is told.
type mirror struct {
	cancel context.CancelFunc
	done   chan struct{}
	got    chan *poddv1.WatchResponse

	objects map[string]string // kind/ns/name/uid to resourceVersion
	types   []string
	synced  bool
	last    uint64
	wrong   []string
	err     error
}

// watch begins to mirror.
func (r *rig) watch(req *poddv1.WatchRequest) *mirror {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := r.life.objects.Watch(ctx, req)
	if err != nil {
		r.t.Fatal(err)
	}
	m := &mirror{cancel: cancel, done: make(chan struct{}), got: make(chan *poddv1.WatchResponse, 100_000), objects: map[string]string{}}
	go func() {
		defer close(m.done)
		for {
			resp, err := stream.Recv()
			if err != nil {
				m.err = err
				close(m.got)
				return
			}
			m.got <- resp
		}
	}()
	return m
}

func (m *mirror) close() {
	if m != nil {
		m.cancel()
		<-m.done
	}
}

// drain takes in what was sent.
func (m *mirror) drain() {
	for {
		select {
		case resp, ok := <-m.got:
			if !ok {
				return
			}
			m.take(resp)
		default:
			return
		}
	}
}

func (m *mirror) wrongs() []string {
	m.drain()
	return m.wrong
}

func (m *mirror) take(resp *poddv1.WatchResponse) {
	if resp.Revision < m.last {
		m.wrong = append(m.wrong, fmt.Sprintf("revision %d after %d", resp.Revision, m.last))
	}
	m.last = resp.Revision
	word := strings.TrimPrefix(resp.Type.String(), "TYPE_")
	if resp.Object == nil {
		m.synced = m.synced || word == "SYNCED"
		m.types = append(m.types, word)
		return
	}
	var meta metav1.PartialObjectMetadata
	if err := json.Unmarshal(resp.Object.Json, &meta); err != nil {
		m.wrong = append(m.wrong, err.Error())
		return
	}
	key := fmt.Sprintf("%s/%s/%s/%s", resp.Object.Kind, meta.Namespace, meta.Name, meta.UID)
	m.types = append(m.types, word+" "+resp.Object.Kind+"/"+meta.Name)
	_, known := m.objects[key]
	switch word {
	case "ADDED":
		if known {
			m.wrong = append(m.wrong, key+" was added twice")
		}
		m.objects[key] = meta.ResourceVersion
	case "MODIFIED":
		if !known {
			m.wrong = append(m.wrong, key+" was modified and not there")
		}
		m.objects[key] = meta.ResourceVersion
	case "DELETED":
		if !known {
			m.wrong = append(m.wrong, key+" was deleted and not there")
		}
		delete(m.objects, key)
	}
}

// agrees compares the mirror with what is.
func (r *rig) agrees(m *mirror, kinds ...string) bool {
	m.drain()
	want := map[string]string{}
	for _, kind := range kinds {
		for _, e := range r.life.agent.Snapshot().List(kind) {
			want[fmt.Sprintf("%s/%s/%s/%s", kind, e.Key.Namespace, e.Key.Name, e.Object.GetUID())] = e.Object.GetResourceVersion()
		}
	}
	return maps.Equal(want, m.objects)
}

// readAll is what a stream of pieces comes to.
func readAll[R any](recv func() (R, error), data func(R) []byte) (string, error) {
	var b strings.Builder
	for {
		r, err := recv()
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return b.String(), err
		}
		b.Write(data(r))
	}
}

func nameOf(i int) string { return fmt.Sprintf("pod-%03d", i) }
