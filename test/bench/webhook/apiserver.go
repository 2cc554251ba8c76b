package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"forewarm.dev/test/bench/statistics"
	"forewarm.dev/test/bench/webhook/proc"
	"forewarm.dev/test/bench/webhook/serve"
)

// armFigures are those of an arm, one value per round.
type armFigures struct {
	p50, p99 []float64 // milliseconds
	// apiCPU and hookCPU are microseconds per write, of the API server and of the webhook.
	apiCPU, hookCPU []float64
}

// measureAPIServer measures every arm in each round, in a new order each: pairs are arms of
// one round.
func (b *bench) measureAPIServer(ctx context.Context) ([]armFigures, error) {
	arms := b.arms()
	figures := make([]armFigures, len(arms))
	dice := rand.New(rand.NewPCG(2, 2))
	for round := range b.settings.rounds {
		for _, i := range dice.Perm(len(arms)) {
			if err := b.segment(ctx, arms[i], &figures[i]); err != nil {
				return nil, fmt.Errorf("round %d, arm %s, %s: %w", round+1, arms[i].name, arms[i].write.name, err)
			}
		}
		b.progress("API server: round %d of %d; p50 so far: %s", round+1, b.settings.rounds, p50SoFar(arms, figures))
	}
	return figures, nil
}

// segment is one measurement: 1 set up, 2 warm up, 3 measure, 4 check that exactly what was
// to be measured was, 5 take down.
func (b *bench) segment(ctx context.Context, a arm, f *armFigures) error {
	if err := b.install(ctx, a.objects); err != nil {
		return err
	}
	if err := b.waitFor(ctx, "the API server to take the arm up", func() error { return b.takenUp(ctx, a, true) }); err != nil {
		return err
	}
	if _, err := b.openLoop(ctx, a.write, b.settings.writeTime/6); err != nil {
		return err
	}
	if err := b.measured(ctx, a, f); err != nil {
		return err
	}
	if err := b.remove(ctx, a.objects); err != nil {
		return err
	}
	if err := b.waitFor(ctx, "the API server to drop the arm", func() error { return b.takenUp(ctx, a, false) }); err != nil || !a.write.stored {
		return err
	}
	return b.clear(ctx)
}

// measured measures, and checks that the webhook of the arm was asked as often as it should be,
// and nobody else at all.
func (b *bench) measured(ctx context.Context, a arm, f *armFigures) error {
	asked, err := b.asked(ctx)
	if err != nil {
		return err
	}
	latencies, err := b.metered(ctx, a, b.settings.writeTime, f)
	if err != nil {
		return err
	}
	return b.checkAsked(ctx, a, asked, float64(len(latencies)))
}

// metered measures the writes of an arm for a time, and returns how long each took.
func (b *bench) metered(ctx context.Context, a arm, d time.Duration, f *armFigures) (latencies []float64, err error) {
	hookPID := b.apiPID // stands in where there is no hook
	if a.hook != nil {
		hookPID = a.hook.pid
	}
	pids := [2]int{b.apiPID, hookPID}
	var before, after [2]float64
	for i, pid := range pids {
		if before[i], err = proc.CPUSeconds(pid); err != nil {
			return nil, err
		}
	}
	if latencies, err = b.openLoop(ctx, a.write, d); err != nil {
		return nil, err
	}
	for i, pid := range pids {
		if after[i], err = proc.CPUSeconds(pid); err != nil {
			return nil, err
		}
	}
	n := float64(len(latencies))
	f.p50, f.p99 = append(f.p50, statistics.Quantile(latencies, 0.5)), append(f.p99, statistics.Quantile(latencies, 0.99))
	f.apiCPU = append(f.apiCPU, (after[0]-before[0])*1e6/n)
	if a.hook != nil {
		f.hookCPU = append(f.hookCPU, (after[1]-before[1])*1e6/n)
	}
	return latencies, nil
}

// asked is how many reviews each hook has had.
func (b *bench) asked(ctx context.Context) (map[string]float64, error) {
	out := map[string]float64{}
	for name, h := range b.hooks {
		n, err := h.figure(ctx, h.reviews)
		if err != nil {
			return nil, err
		}
		out[name] = n
	}
	return out, nil
}

func (b *bench) checkAsked(ctx context.Context, a arm, before map[string]float64, writes float64) error {
	after, err := b.asked(ctx)
	if err != nil {
		return err
	}
	for name, h := range b.hooks {
		want := 0.0
		if h == a.hook {
			want = writes * max(a.reviews, 1)
		}
		if got := after[name] - before[name]; got != want {
			return fmt.Errorf("webhook %s had %.0f reviews for %.0f writes, want %.0f: the arm does not measure what it says", name, got, writes, want)
		}
		if h.reviews != serve.Reviews {
			continue
		}
		other, err := h.figure(ctx, serve.OtherProtocol)
		if err != nil {
			return err
		}
		if other != 0 {
			return fmt.Errorf("webhook %s had %.0f reviews over another protocol than HTTP/1.1", name, other)
		}
	}
	if a.effective == nil {
		return nil
	}
	return b.takenUp(ctx, a, true)
}

// takenUp fails unless the API server acts on all the objects of an arm, or on none any more.
func (b *bench) takenUp(ctx context.Context, a arm, want bool) error {
	if a.effective != nil {
		if is, err := a.effective(ctx); err != nil || is != want {
			return errors.Join(err, fmt.Errorf("the policy is in effect: %t, want %t", is, want))
		}
	}
	if a.hook != nil {
		if is, err := b.isAsked(ctx, a); err != nil || is != want {
			return errors.Join(err, fmt.Errorf("the webhook is asked: %t, want %t", is, want))
		}
	}
	return nil
}

// isAsked says whether a write makes the API server ask the arm's webhook.
func (b *bench) isAsked(ctx context.Context, a arm) (bool, error) {
	before, err := a.hook.figure(ctx, a.hook.reviews)
	if err != nil {
		return false, err
	}
	if err := b.write(ctx, a.write); err != nil {
		return false, err
	}
	after, err := a.hook.figure(ctx, a.hook.reviews)
	return after > before, err
}

// openLoop sends a write at a fixed rate, whether or not earlier ones have been answered, and
// returns the milliseconds from when each was due until it was answered.
func (b *bench) openLoop(ctx context.Context, w write, d time.Duration) ([]float64, error) {
	interval := time.Duration(float64(time.Second) / b.settings.rate)
	n := max(1, int(d/interval))
	latencies, errs := make([]float64, n), make([]error, n)
	var group sync.WaitGroup
	started := time.Now()
	for i := range n {
		due := started.Add(time.Duration(i) * interval)
		time.Sleep(time.Until(due))
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			errs[i] = b.write(ctx, w)
			latencies[i] = float64(time.Since(due)) / float64(time.Millisecond)
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return latencies, nil
}

func p50SoFar(arms []arm, figures []armFigures) string {
	var out []string
	for i, a := range arms {
		out = append(out, fmt.Sprintf("%s %s %.2f ms", a.name, a.write.name, statistics.Quantile(figures[i].p50, 0.5)))
	}
	return strings.Join(out, ", ")
}
