package freshness

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
)

// apiServer answers lists and watches while it is there.
type apiServer struct {
	gone    bool // for all
	silent  bool // for lists
	lists   int
	watches chan *watch.FakeWatcher
}

func (a *apiServer) listWatch() *toolscache.ListWatch {
	return &toolscache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			if a.gone || a.silent {
				return nil, errors.New("connection refused")
			}
			a.lists++
			return &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}, nil
		},
		WatchFuncWithContext: func(_ context.Context, o metav1.ListOptions) (watch.Interface, error) {
			if a.gone || o.SendInitialEvents != nil {
				return nil, errors.New("connection refused")
			}
			events := watch.NewFake()
			a.watches <- events
			return events, nil
		},
	}
}

// TestSilenceIsTold: of a watch that says nothing, and of an API server that is away; and it ends by itself.
func TestSilenceIsTold(t *testing.T) {
	// They wait by a time of their own, which is outside of the bubble.
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	defer func() { utilruntime.ErrorHandlers = handlers }()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		server, w := &apiServer{watches: make(chan *watch.FakeWatcher, 100)}, &Watches{}
		informer := w.NewInformer(server.listWatch(), &corev1.Pod{}, 0, toolscache.Indexers{})
		if len(w.Ages()) != 0 || w.Behind() != "" {
			t.Errorf("before anything was heard: ages %v, %q is behind", w.Ages(), w.Behind())
		}
		ended := make(chan struct{})
		go func() { informer.RunWithContext(ctx); close(ended) }()
		events := <-server.watches
		state := func(when, behind string, most time.Duration) {
			t.Helper()
			synctest.Wait()
			if age := w.Ages()["Pod"]; age > most || w.Behind() != behind {
				t.Errorf("%s: heard %s ago, want %s at most; %q is behind, want %q", when, age, most, w.Behind(), behind)
			}
		}
		for range 10 { // nothing changes
			time.Sleep(time.Minute)
			events.Action(watch.Bookmark, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "1"}})
			state("a bookmark each minute", "", 0)
		}
		newest := func() *watch.FakeWatcher {
			for len(server.watches) > 1 {
				<-server.watches
			}
			return <-server.watches
		}
		for range 10 { // no bookmark either
			listed := server.lists
			time.Sleep(Silence + grace)
			state("silent, and listed anew", "", Silence)
			if !events.IsStopped() || server.lists == listed {
				t.Error("the silent watch goes on, or nothing was listed")
			}
			events = newest()
		}
		server.silent = true
		time.Sleep(Silence + 2*grace)
		state("silent, and no list comes", "Pod", 2*Silence)
		server.silent = false
		time.Sleep(3 * grace)
		state("a list came", "", 3*grace)
		events = newest()
		events.Add(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "p", UID: "p", ResourceVersion: "2"}})
		state("a pod came", "", 0)
		if n := len(informer.GetStore().List()); n != 1 {
			t.Errorf("%d pods are known, want one", n)
		}
		server.gone = true
		events.Stop()
		time.Sleep(10 * time.Minute)
		state("the API server is away", "Pod", 11*time.Minute)
		server.gone = false
		<-server.watches
		state("it is back, and what was watched goes on", "", 0)
		stop()
		<-ended
	})
}

// TestAWatchThatIsLeftEnds: nobody waits for who does not listen any more.
func TestAWatchThatIsLeftEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, w := &apiServer{watches: make(chan *watch.FakeWatcher, 1)}, &Watches{}
		listens, err := toolscache.ToListerWatcherWithContext(w.listen(server.listWatch(), "Pod")).WatchWithContext(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		events := <-server.watches
		go events.Add(&corev1.Pod{})
		synctest.Wait() // the event waits to be taken
		listens.Stop()
		listens.Stop()
		synctest.Wait()
		if _, more := <-listens.ResultChan(); more || !events.IsStopped() {
			t.Errorf("left: more events %t, stopped %t", more, events.IsStopped())
		}
	})
}

func TestMetric(t *testing.T) {
	w, registry := &Watches{}, prometheus.NewRegistry()
	Register(w, registry)
	if n := testutil.CollectAndCount(registry); n != 0 {
		t.Errorf("%d ages of nothing", n)
	}
	w.word("Pod")
	w.word("Node")
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 2 || !strings.HasSuffix(families[0].GetName(), "_cache_age_seconds") {
		t.Errorf("got %v, %v", families, err)
	}
}
