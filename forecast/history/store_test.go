package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

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

func TestAnObjectThatWasDeletedIsMadeAnew(t *testing.T) {
	c := newClient(t)
	s := NewStore(c)
	if err := s.Append(t.Context(), key, samplesFrom(day, time.Minute, 1)...); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteAllOf(t.Context(), &v1alpha1.DemandHistory{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), key, samplesFrom(day.Add(time.Minute), time.Minute, 2)...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{math.NaN(), 2}, load(t, s), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestOneWriteADay(t *testing.T) {
	writes, reads := 0, 0
	c := interceptor.NewClient(newClient(t).(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			writes++
			return c.Create(ctx, o, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			writes++
			return c.Update(ctx, o, opts...)
		},
		Get: func(ctx context.Context, c client.WithWatch, k client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			reads++
			return c.Get(ctx, k, o, opts...)
		},
	})
	s := NewStore(c)
	for i := range 10 {
		at := day.Add(time.Duration(3*i) * time.Minute)
		if err := s.Append(t.Context(), key, samplesFrom(at, time.Minute, 1, 2, 3)...); err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context(), key, samplesFrom(at, time.Minute, 9)...); err != nil { // known: nothing to write
			t.Fatal(err)
		}
	}
	if writes != 10 || reads != 1 {
		t.Errorf("%d writes and %d reads for 10 batches, want 10 and 1", writes, reads)
	}
}

func TestSamplesAreReadBackAsWritten(t *testing.T) {
	c := newClient(t)
	at := day.Add(1234567 * time.Nanosecond)
	samples := []Sample{{at, 1.25}, {at.Add(time.Second), math.NaN()}, {at.Add(2 * time.Second), math.Inf(1)}, {at.Add(3 * time.Second), 3}}
	for range 2 { // a retry by another
		if err := NewStore(c).Append(t.Context(), key, samples...); err != nil {
			t.Fatal(err)
		}
	}
	series, err := NewStore(c).Load(t.Context(), key, day, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{1.25, math.NaN(), math.NaN(), 3}, series.Values, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestImportMergesByTime(t *testing.T) {
	c := newClient(t)
	s := NewStore(c)
	if err := s.Append(t.Context(), key, samplesFrom(day.Add(2*time.Minute), 2*time.Minute, 2, 4)...); err != nil {
		t.Fatal(err)
	}
	if err := s.Import(t.Context(), key, samplesFrom(day, time.Minute, 10, 11, 12, 13, 14, 15)); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), key, samplesFrom(day.Add(6*time.Minute), time.Minute, 6)...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{10, 11, 2, 13, 4, 15, 6}, load(t, s)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestFourWeeksAreImportedAtOnce(t *testing.T) {
	s := NewStore(newClient(t))
	demand := make([]float64, 28*1440)
	for i := range demand {
		demand[i] = float64(i % 1440)
	}
	if err := s.Import(t.Context(), key, samplesFrom(day, time.Minute, demand...)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(demand, load(t, s)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestWhatAWrongClockWroteIsNotLoaded(t *testing.T) {
	s := NewStore(newClient(t))
	if err := s.Append(t.Context(), key, Sample{day, 1}, Sample{day.AddDate(7000, 0, 0), 2}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{1}, load(t, s)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

func TestTheWarmPoolOwnsItsHistory(t *testing.T) {
	c := newClient(t)
	renewed := key
	renewed.PoolUID = "made anew"
	for i, k := range []Key{key, renewed} {
		if err := NewStore(c).Append(t.Context(), k, Sample{day.Add(time.Duration(i) * time.Minute), 1}); err != nil {
			t.Fatal(err)
		}
		object := &v1alpha1.DemandHistory{}
		if err := c.Get(t.Context(), client.ObjectKey{Name: "a100.single.2026-11-24"}, object); err != nil {
			t.Fatal(err)
		}
		if owners := object.OwnerReferences; len(owners) != 1 || owners[0].UID != k.PoolUID || owners[0].Kind != "WarmPool" {
			t.Errorf("owners %v, want UID %s", owners, k.PoolUID)
		}
		if diff := cmp.Diff(map[string]string{"forewarm.dev/pool": "a100", "forewarm.dev/chunk": "single"}, object.Labels); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
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
		"of another day":  {func(o *v1alpha1.DemandHistory) { o.Data.Day = "2026-11-23" }, "data.encoded"},
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
			if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), at.Name) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one that names %s and %s", err, at.Name, test.want)
			}
			if n := len(series.Values); n != 2 || series.Values[1] != 2 {
				t.Errorf("the other day was not read: %v", series.Values)
			}
			s := NewStore(c)
			later := samplesFrom(day.Add(time.Hour), 24*time.Hour, 3, 4)
			if err := s.Append(t.Context(), key, later...); !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), at.Name) {
				t.Errorf("append: error %v, want one that names %s", err, at.Name)
			}
			if series, _ := s.Load(t.Context(), key, day, 24*time.Hour); series.Values[1] != 4 {
				t.Errorf("the sample of the other day was not appended: %v", series.Values)
			}
			if err := s.Prune(t.Context(), key, day.AddDate(1, 0, 0)); err != nil {
				t.Fatal(err)
			}
			if err := c.Get(t.Context(), at, object); err != nil {
				t.Errorf("the broken object is gone: %v", err)
			}
			if err := c.Get(t.Context(), client.ObjectKey{Name: "a100.single.2026-11-25"}, object); !apierrors.IsNotFound(err) {
				t.Errorf("the old object is still there: %v", err)
			}
		})
	}
}

// TestFourWeeksOfMinutesAreSmall holds the promise of design.md section 4, as stored in JSON.
func TestFourWeeksOfMinutesAreSmall(t *testing.T) {
	c := newClient(t)
	random := rand.New(rand.NewPCG(1, 1))
	var running []int // minutes left of each job
	var samples []Sample
	for i := range 28 * 1440 {
		// Jobs come in bursts, more by day, and run for a log-normal time as in the Philly trace.
		if rate := 0.5 - 0.4*math.Cos(2*math.Pi*float64(i%1440)/1440); random.Float64() < rate/3 {
			for range 1 + random.IntN(5) {
				running = append(running, 1+int(math.Exp(6.59+1.97*random.NormFloat64())/60))
			}
		}
		left := running[:0]
		for _, minutes := range running {
			if minutes > 1 {
				left = append(left, minutes-1)
			}
		}
		running = left
		samples = append(samples, Sample{day.Add(time.Duration(i) * time.Minute), float64(len(running))})
	}
	if err := NewStore(c).Import(t.Context(), key, samples); err != nil {
		t.Fatal(err)
	}
	var list v1alpha1.DemandHistoryList
	if err := c.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	total, largest := 0, 0
	for _, object := range list.Items {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		total, largest = total+len(text), max(largest, len(text))
	}
	t.Logf("28 days of minutes: %d objects of %d bytes as JSON, the largest %d", len(list.Items), total, largest)
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
