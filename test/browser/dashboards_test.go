package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
	"forewarm.dev/test/demo/live"
)

const (
	// pictured is how long the dashboards look back, watched how long all processes are scraped before.
	pictured, watched = 4 * time.Minute, 5 * time.Minute
	// wide is the width of the browser's window in pixels.
	wide = 1600
)

// TestDashboards draws the dashboards with Grafana's components, of what a Prometheus has scraped of all
// processes under a load on a real control plane.
func TestDashboards(t *testing.T) {
	if *screenshots == "" && os.Getenv("FOREWARM_LONG") == "" {
		t.Skip("skipped: it takes minutes; make screenshots, or set FOREWARM_LONG=1")
	}
	if browserPath() == "" {
		t.Skip("no Chromium: make browser installs it, as root on Debian")
	}
	modules := modulesOf(t)
	prometheus := underLoad(t)
	site := servePage(t, modules, prometheus.URL)
	ctx := open(t)
	said := complaints(t, ctx)
	// It ends half a minute after a whole one, so that the last label of an axis has room.
	end := time.Now().Add(-30 * time.Second).Truncate(time.Minute).Add(30 * time.Second)
	drawBoards(t, ctx, site, end)
	if got := said(); len(got) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(got, "\n"))
	}
}

// drawBoards draws all dashboards of the time before an end.
func drawBoards(t *testing.T, ctx context.Context, site string, end time.Time) {
	files, err := filepath.Glob("../../manifests/monitoring/dashboards/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			for _, p := range draw(t, ctx, site, name, end.Add(-time.Hour)) { // that this test would see an empty panel
				if p.drew() && p.Title != "Ready" { // which says 100 % where nothing is wanted
					t.Errorf("panel %q shows something of before all began: %+v", p.Title, p)
				}
			}
			panels := draw(t, ctx, site, name, end)
			for _, p := range panels {
				if !p.drew() {
					t.Errorf("panel %q shows nothing: %+v", p.Title, p)
				}
			}
			t.Logf("%d panels are drawn", len(panels))
			if *screenshots != "" {
				height := value[int64](t, ctx, "document.documentElement.scrollHeight")
				run(t, ctx, chromedp.EmulateViewport(wide, height))
				takePicture(t, ctx, "dashboard-"+strings.TrimPrefix(name, "forewarm-")+".png")
			}
		})
	}
}

// underLoad is a Prometheus that has watched all processes under a load.
func underLoad(t *testing.T) *cluster.Prometheus {
	t.Helper()
	c, ours, _ := startLive(t)
	jobs := map[string]string{}
	for _, r := range ours.Replicas {
		jobs["forewarm-"+r.Kind] = r.MetricsAddress()
	}
	prometheus := cluster.PrometheusForTest(t)
	if err := prometheus.ScrapeJobs(jobs); err != nil {
		t.Fatal(err)
	}
	loading, stop := context.WithCancel(t.Context())
	defer stop()
	failed := make(chan error, 2)
	go func() { failed <- live.Load(loading, c.Client) }()
	go func() { failed <- grow(loading, c.Client) }()
	all := fmt.Sprintf("count(count_over_time(up[%s]) >= %d) == %d", watched, int(watched.Seconds())-10, len(jobs))
	cluster.Eventually(t, watched+patience, func() error {
		select {
		case err := <-failed:
			t.Fatalf("the load: %v", err)
		default:
		}
		return prometheus.Shows(t.Context(), all)
	})
	return prometheus
}

// grow asks again and again for one to six replicas of a Deployment whose ceiling is four.
func grow(ctx context.Context, writer client.Client) error {
	labels := map[string]string{"app": "web"}
	web := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: live.Namespace, Name: "web", Annotations: map[string]string{v1alpha1.AnnotationMaxReplicas: "4"}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "none"}}}},
		},
	}
	if err := writer.Create(ctx, web); err != nil {
		return err
	}
	every := time.NewTicker(2 * time.Second)
	defer every.Stop()
	for i := int32(0); ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
		scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 1 + i%6}}
		err := writer.SubResource("scale").Update(ctx, web, client.WithSubResourceBody(scale))
		if err != nil && !apierrors.IsForbidden(err) && ctx.Err() == nil {
			return fmt.Errorf("scale %s: %w", web.Name, err)
		}
	}
}

// drawnPanel is what can be seen of a panel.
type drawnPanel struct {
	Title, Text string
	// Coloured is how many pixels of its lines are not grey, which axes and grid are; zero without lines.
	Coloured int
	// Lines tells a panel of lines from one of a number.
	Lines bool
}

// drew tells whether it shows anything.
func (p drawnPanel) drew() bool {
	if p.Lines {
		return p.Coloured > 0
	}
	return strings.ContainsAny(p.Text, "0123456789") && !strings.Contains(p.Text, "No data")
}

// look reads what can be seen of all panels.
const look = `[...document.querySelectorAll('[data-panel]')].map((panel) => {
  const canvas = panel.querySelector('canvas');
  const pixels = canvas ? canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data : [];
  let coloured = 0;
  for (let i = 0; i < pixels.length; i += 4) {
    const [r, g, b, opaque] = pixels.slice(i, i + 4);
    coloured += opaque > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60;
  }
  return { title: panel.dataset.panel, text: panel.querySelector('[data-testid="data-testid panel content"]').textContent, coloured, lines: canvas !== null };
})`

// draw has the browser draw a dashboard of the time before an end, and looks at it.
func draw(t *testing.T, ctx context.Context, site, name string, end time.Time) []drawnPanel {
	t.Helper()
	address := fmt.Sprintf("%s/?dashboard=%s&from=%d&to=%d", site, name, end.Add(-pictured).UnixMilli(), end.UnixMilli())
	run(t, ctx, chromedp.EmulateViewport(wide, 1000), chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS(`main[data-drawn="true"]`)))
	return value[[]drawnPanel](t, ctx, look)
}

// complaints collects errors and warnings of a page; the function that it returns tells them.
func complaints(t *testing.T, ctx context.Context) func() []string {
	t.Helper()
	var mu sync.Mutex
	var said []string
	err := chromedp.Listen(ctx, func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch event := event.(type) {
		case *runtime.EventConsoleAPICalled:
			if event.Type == "error" || event.Type == "warning" {
				for _, argument := range event.Args {
					said = append(said, string(argument.Value)+argument.Description)
				}
			}
		case *runtime.EventExceptionThrown:
			said = append(said, event.ExceptionDetails.Text)
		case *cdplog.EventEntryAdded:
			said = append(said, event.Entry.Text+" "+event.Entry.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(said)
	}
}
