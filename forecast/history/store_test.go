package history

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"forewarm.dev/api/v1alpha1"
)

var (
	day = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	key = Key{Pool: "a100", PoolUID: "uid", Chunk: "single"}
)

func newClient(t *testing.T) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).Build()
}

func samplesFrom(start time.Time, step time.Duration, demand ...float64) []Sample {
	var samples []Sample
	for i, d := range demand {
		samples = append(samples, Sample{start.Add(time.Duration(i) * step), d})
	}
	return samples
}

func load(t *testing.T, s *Store) []float64 {
	t.Helper()
	series, err := s.Load(t.Context(), key, day, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return series.Values
}

func TestAppendedSamplesAreLoadedByAnother(t *testing.T) {
	c := newClient(t)
	if err := NewStore(c).Append(t.Context(), key, samplesFrom(day, time.Minute, 1, 2, 3)...); err != nil {
		t.Fatal(err)
	}
	other := NewStore(c)
	if err := other.Append(t.Context(), key, samplesFrom(day.Add(2*time.Minute), time.Minute, 99, 4)...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{1, 2, 3, 4}, load(t, other)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestTwoLeadersInTurnLoseNothing(t *testing.T) {
	c := newClient(t)
	one, two := NewStore(c), NewStore(c)
	var want []float64
	for i := range 20 {
		leader := one
		if i%2 == 1 {
			leader = two // has an outdated copy: a conflict, a read, another try
		}
		if err := leader.Append(t.Context(), key, Sample{day.Add(time.Duration(i) * time.Minute), float64(i)}); err != nil {
			t.Fatal(err)
		}
		want = append(want, float64(i))
	}
	if diff := cmp.Diff(want, load(t, NewStore(c))); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestLoadKeepsThePeakOfAStepAndShowsGaps(t *testing.T) {
	c := newClient(t)
	samples := append(samplesFrom(day, 20*time.Second, 1, 7, 2), Sample{day.Add(3 * time.Minute), 5})
	if err := NewStore(c).Append(t.Context(), key, samples...); err != nil {
		t.Fatal(err)
	}
	want := []float64{7, math.NaN(), math.NaN(), 5}
	if diff := cmp.Diff(want, load(t, NewStore(c)), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestADayIsAnObjectAndOldOnesArePruned(t *testing.T) {
	c := newClient(t)
	s := NewStore(c)
	if err := s.Append(t.Context(), key, samplesFrom(day, 12*time.Hour, 1, 2, 3, 4, 5)...); err != nil {
		t.Fatal(err)
	}
	names := func() []string {
		var list v1alpha1.DemandHistoryList
		if err := c.List(context.Background(), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, o := range list.Items {
			names = append(names, fmt.Sprintf("%s %d", o.Name, o.Data.Samples))
		}
		return names
	}
	if diff := cmp.Diff([]string{"a100.single.2026-11-24 2", "a100.single.2026-11-25 2", "a100.single.2026-11-26 1"}, names()); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if err := s.Prune(t.Context(), key, day.Add(36*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a100.single.2026-11-25 2", "a100.single.2026-11-26 1"}, names()); diff != "" {
		t.Errorf("objects after pruning (-want +got):\n%s", diff)
	}
}

func TestABrokenObjectIsNamedAndLeftAlone(t *testing.T) {
	tests := map[string]struct {
		edit func(*v1alpha1.DemandHistory)
		want string
	}{
		"unknown version": {func(o *v1alpha1.DemandHistory) { o.Data.SchemaVersion = 9 }, "schemaVersion"},
		"cut off":         {func(o *v1alpha1.DemandHistory) { o.Data.Encoded = [][]byte{{0}} }, "data.encoded"},
		"rubbish":         {func(o *v1alpha1.DemandHistory) { o.Data.Encoded = [][]byte{{0, 200, 1}} }, "data.encoded"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newClient(t)
			if err := NewStore(c).Append(t.Context(), key, samplesFrom(day, 24*time.Hour, 1, 2)...); err != nil {
				t.Fatal(err)
			}
			object := &v1alpha1.DemandHistory{}
			at := client.ObjectKey{Name: "a100.single.2026-11-24"}
			if err := c.Get(t.Context(), at, object); err != nil {
				t.Fatal(err)
			}
			test.edit(object)
			if err := c.Update(t.Context(), object); err != nil {
				t.Fatal(err)
			}
			series, err := NewStore(c).Load(t.Context(), key, day, 24*time.Hour)
			if err == nil || !strings.Contains(err.Error(), at.Name) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that names %s and %s", err, at.Name, test.want)
			}
			if n := len(series.Values); n != 2 || series.Values[1] != 2 {
				t.Errorf("the other day was not read: %v", series.Values)
			}
			if err := c.Get(t.Context(), at, object); err != nil {
				t.Errorf("the broken object is gone: %v", err)
			}
		})
	}
}

// TestFourWeeksOfMinutesAreSmall holds the promise of design.md section 4.
func TestFourWeeksOfMinutesAreSmall(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	level, total := 300.0, 0
	for range 28 {
		var samples []Sample
		for i := range 1440 {
			if random.IntN(2) == 0 {
				level = math.Max(level+float64(random.IntN(7)-3), 0)
			}
			samples = append(samples, Sample{day.Add(time.Duration(i) * time.Minute), level})
		}
		chunks, err := encode(nil, samples)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(chunks)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(samples, back); diff != "" {
			t.Fatalf("samples changed:\n%s", diff)
		}
		for _, chunk := range chunks {
			total += len(chunk)
		}
	}
	t.Logf("28 days of minutes: %d KiB", total/1024)
	if total > 100*1024 {
		t.Errorf("28 days of minutes take %d bytes, want at most 100 KiB", total)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := encodeOne(samplesFrom(day, time.Minute, 1, 2, 3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{0, 9, 1, 2})
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = decode([][]byte{data}) })
}
