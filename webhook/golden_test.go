package webhook

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"forewarm.dev/internal/quantity"
)

var update = flag.Bool("update", false, "rewrite the want sections of testdata/*.txtar")

// scenario is the input of a golden file: a pod, its Namespace's labels, what it may claim, and
// the pools.
type scenario struct {
	Classes   []resourcev1.DeviceClass                `json:"classes"`
	Templates map[string]resourcev1.ResourceClaimSpec `json:"templates"`
	Claims    map[string]resourcev1.ResourceClaimSpec `json:"claims"`
	Mark      bool                                    `json:"mark"`

	Namespace map[string]string `json:"namespace"`
	Pools     []struct {
		Name       string              `json:"name"`
		Priority   int32               `json:"priority"`
		Resource   corev1.ResourceName `json:"resource"`
		Namespaces string              `json:"namespaces"` // a label selector as kubectl takes it
		Pods       string              `json:"pods"`
		Tolerate   []corev1.Toleration `json:"tolerations"`
		Nodes      map[string]string   `json:"nodes"`
		Warm       []struct {
			Requests corev1.ResourceList `json:"requests"`
			Cost     float64             `json:"cost"`
		} `json:"warm"`
	} `json:"pools"`
}

func (s scenario) request(t *testing.T, pod *corev1.Pod) Request {
	t.Helper()
	r := Request{Object: Object{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name}, Create: true, Pod: pod, NamespaceLabels: s.Namespace, Claims: s.claims(pod), MarkClaims: s.Mark}
	for _, p := range s.Pools {
		pool := Pool{Name: p.Name, Priority: p.Priority, Resource: p.Resource, Tolerations: p.Tolerate}
		var err error
		if pool.NamespaceSelector, err = labels.Parse(p.Namespaces); err != nil {
			t.Fatal(err)
		}
		if pool.PodSelector, err = labels.Parse(p.Pods); err != nil {
			t.Fatal(err)
		}
		for _, key := range slices.Sorted(maps.Keys(p.Nodes)) {
			pool.Nodes = append(pool.Nodes, corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{p.Nodes[key]}})
		}
		for _, chunk := range p.Warm {
			pool.Warm = append(pool.Warm, WarmChunk{Requests: quantity.Of(chunk.Requests), CostPerHour: chunk.Cost})
		}
		r.Pools = append(r.Pools, pool)
	}
	return r
}

// claims looks up what a pod names.
func (s scenario) claims(pod *corev1.Pod) Claims {
	classes, out := Classes{}, Claims{}
	for _, class := range s.Classes {
		if set, is := ClassGPUs(&class); is {
			classes[class.Name] = set
		}
	}
	for _, ref := range ClaimsOf(pod) {
		spec := s.Claims[ref.Name]
		switch ref.Source {
		case FromTemplate:
			spec = s.Templates[ref.Name]
		case FromClass:
			if set, is := classes[ref.Name]; is {
				out[ref] = []GPUSet{set}
			}
			continue
		}
		out[ref] = classes.GPUs(&spec)
	}
	return out
}

// TestPods reviews the pods of testdata/*.txtar. Each file has a comment, then "cluster"
// (Namespace and pools), then pods, then "want" with a decision for each.
func TestPods(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var s scenario
			got, want := &strings.Builder{}, ""
			for i, file := range archive.Files {
				switch file.Name {
				case "cluster":
					if err := yaml.UnmarshalStrict(file.Data, &s); err != nil {
						t.Fatal(err)
					}
				case "want":
					want = string(file.Data)
					archive.Files[i].Data = []byte(got.String())
				default:
					pod := &corev1.Pod{}
					if err := yaml.UnmarshalStrict(file.Data, pod); err != nil {
						t.Fatal(err)
					}
					before := pod.DeepCopy()
					print(got, file.Name, Pods().Review(s.request(t, pod)))
					if diff := cmp.Diff(before, pod); diff != "" {
						t.Errorf("%s was changed:\n%s", file.Name, diff)
					}
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("run with -update if this is right:\n%s", diff)
			}
		})
	}
}

func print(w *strings.Builder, name string, d Decision) {
	fmt.Fprintf(w, "%s: %s %s\n", name, d.Verdict, d.Reason)
	for _, warning := range d.Warnings {
		fmt.Fprintf(w, "  warning: %s\n", warning)
	}
	for _, op := range d.Patch {
		value, err := json.Marshal(op.Value)
		if err != nil {
			value = []byte(err.Error())
		}
		fmt.Fprintf(w, "  %s %s %s\n", op.Op, op.Path, value)
	}
}
