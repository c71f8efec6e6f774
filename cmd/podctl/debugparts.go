package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	poddv1 "github.com/podd-io/podd/api/podd/v1"
	"github.com/podd-io/podd/cmd/podctl/chart"
)

func (b *bundle) addVersion(ctx context.Context, s *session, _ *client) error {
	v := versions{Client: builtClient()}
	var err error
	if v.Server, err = s.serverVersion(ctx); err != nil {
		text, _ := s.describeFailure(err)
		b.missing("podd's version", errors.New(text))
	}
	return b.json("version.json", v)
}

func (b *bundle) json(name string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.text(name, string(text)+"\n")
	return nil
}

func (b *bundle) proto(name string, m proto.Message) error {
	text, err := protojson.MarshalOptions{Multiline: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	b.text(name, string(text)+"\n")
	return nil
}

// addObjects adds every object, a file for each kind. Secrets come first: what is in
// them is looked for in all that follows.
func (b *bundle) addObjects(ctx context.Context, s *session, c *client) error {
	var wrong []error
	for _, k := range kinds() {
		objects, err := c.list(ctx, k, "", "", "")
		if err != nil {
			text, _ := s.describeFailure(err)
			b.missing("the "+k.plural, errors.New(text))
			continue
		}
		list := make([]*unstructured.Unstructured, 0, len(objects))
		for _, o := range objects {
			list = append(list, b.redactor.Object(o))
		}
		wrong = append(wrong, b.json("objects/"+k.plural+".json", list))
	}
	return errors.Join(wrong...)
}

func (b *bundle) addTimeline(ctx context.Context, _ *session, c *client) error {
	t, err := c.timeline(ctx, "", nil)
	if err != nil {
		return err
	}
	var svg bytes.Buffer
	if err := chart.Write(&svg, timelineChart(t, true)); err != nil {
		return err
	}
	b.text("boot-chart.svg", svg.String())
	return b.proto("timeline.json", t)
}

// addWhy adds what was decided about every pod.
func (b *bundle) addWhy(ctx context.Context, _ *session, c *client) error {
	pods, err := c.list(ctx, kindNamed("Pod"), "", "", "")
	if err != nil {
		return err
	}
	for _, p := range pods {
		why, err := c.insight.Why(ctx, &poddv1.WhyRequest{Pod: &poddv1.PodRef{Namespace: p.GetNamespace(), Name: p.GetName()}})
		if err != nil {
			return fmt.Errorf("the decisions about %s/%s: %w", p.GetNamespace(), p.GetName(), err)
		}
		if err := b.proto("why/"+p.GetNamespace()+"_"+p.GetName()+".json", why); err != nil {
			return err
		}
	}
	return nil
}

// addDiagnoses adds what podd tells about itself.
func (b *bundle) addDiagnoses(ctx context.Context, s *session, c *client) error {
	for _, d := range []struct {
		name   string
		what   poddv1.DiagnoseRequest_What
		binary bool
	}{
		{"state.txt", poddv1.DiagnoseRequest_WHAT_STATE, false},
		{"podd.log", poddv1.DiagnoseRequest_WHAT_LOG, false},
		{"goroutines.pb.gz", poddv1.DiagnoseRequest_WHAT_GOROUTINES, true},
		{"heap.pb.gz", poddv1.DiagnoseRequest_WHAT_HEAP, true},
	} {
		data, err := c.diagnose(ctx, &poddv1.DiagnoseRequest{What: d.what})
		if err != nil {
			text, _ := s.describeFailure(err)
			b.missing(d.name, errors.New(text))
			continue
		}
		b.files = append(b.files, bundled{name: d.name, data: data, binary: d.binary})
	}
	return nil
}

// diagnoseTime bounds a diagnosis that is not a CPU profile.
const diagnoseTime = 30 * time.Second

func (c *client) diagnose(ctx context.Context, req *poddv1.DiagnoseRequest) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTime+time.Duration(req.GetSeconds())*time.Second)
	defer cancel()
	stream, err := c.insight.Diagnose(ctx, req)
	if err != nil {
		return nil, err
	}
	var all []byte
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, resp.GetData()...)
	}
}

// addConfig adds the configuration in force, and what is where it says.
func (b *bundle) addConfig(ctx context.Context, _ *session, c *client) error {
	resp, err := c.node.Config(ctx, &poddv1.ConfigRequest{})
	if err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	b.text("config.yaml", string(resp.GetYaml()))
	var cfg struct {
		Root     string `json:"root"`
		RunDir   string `json:"run-dir"`
		AuthFile string `json:"registry-auth-file"`
		Metrics  string `json:"metrics-listen"`
	}
	if err := yaml.Unmarshal(resp.GetYaml(), &cfg); err != nil {
		return fmt.Errorf("the configuration: %w", err)
	}
	for _, path := range []string{cfg.AuthFile, filepath.Join(cfg.Root, "config.json")} {
		if text, err := os.ReadFile(path); err == nil {
			b.redactor.Docker(text) // it is not added: it is looked for
		}
	}
	b.addContainerd(filepath.Join(cfg.RunDir, "containerd"))
	if cfg.Metrics != "" {
		b.addMetrics(ctx, "http://"+cfg.Metrics)
	}
	return nil
}

// containerdLogSize is how much of containerd's log is added.
const containerdLogSize = 256 << 10

// addContainerd adds what a containerd that podd keeps has in its directory.
func (b *bundle) addContainerd(dir string) {
	for _, name := range []string{"config.toml", "containerd.log"} {
		text, err := readEnd(filepath.Join(dir, name), containerdLogSize)
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("there is none: podd keeps no containerd, or it is another host's")
		}
		if err != nil {
			b.missing("containerd's "+name, err)
			continue
		}
		b.text("containerd/"+name, string(text))
	}
}

func readEnd(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(max(0, stat.Size()-most), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// metricsSize and metricsTime bound a page of metrics.
const (
	metricsSize = 32 << 20
	metricsTime = 10 * time.Second
)

// addMetrics adds the pages of metrics, as far as they are served.
func (b *bundle) addMetrics(ctx context.Context, base string) {
	for _, page := range []string{"metrics", "metrics/cadvisor", "metrics/resource", "metrics/probes", "metrics/kube-state"} {
		text, err := fetchPage(ctx, base+"/"+page)
		if err != nil {
			b.missing("the page /"+page, err)
			continue
		}
		b.text(page+".txt", string(text))
	}
}

func fetchPage(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, metricsTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it is answered by %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, metricsSize))
}
