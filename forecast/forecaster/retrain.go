package forecaster

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast"
	"forewarm.dev/forecast/champion"
)

// question is what a forecast is asked for: horizons, counted from now, and what is told of events.
type question struct {
	horizon []time.Duration
	events  []forecast.Event
	now     time.Time
}

// clone is for who goes on beside the loop.
func (q question) clone() question {
	q.horizon, q.events = slices.Clone(q.horizon), slices.Clone(q.events)
	return q
}

// version decides by which version a chunk is forecast now: it reads what is kept, enters
// what the trials and the live errors say, keeps that, and begins the next trials when they
// are due. What cannot be read or kept is a warning, and the version in use stays.
func (f *Forecaster) version(ctx context.Context, t *tracked, pool Pool, chunk string, asked question) champion.Version {
	// 1 observe
	record := f.recall(ctx, t, pool, chunk, asked.now)
	if inUse := record.InUse().Number; inUse != t.liveOf {
		t.live, t.pending, t.liveOf = champion.Live{}, nil, inUse
	}
	t.settle()
	// 2 decide
	next, news := t.decide(record, chunk, asked.now)
	// 3 apply
	if f.keep(ctx, t, pool, chunk, next) {
		for _, n := range news {
			f.tell(pool, n)
		}
		record = t.record
	}
	t.forget(record)
	every := pool.RetrainEvery
	if length := time.Duration(len(t.Values)) * t.Step; record.Due(every, asked.now) && champion.Enough(length) {
		f.try(t, record, pool.Seasons, asked.clone())
	}
	// 4 report
	f.report(t, pool, chunk, record)
	return record.InUse()
}

// recall is the record of a chunk; a fresh one if there is none.
func (f *Forecaster) recall(ctx context.Context, t *tracked, pool Pool, chunk string, now time.Time) champion.Record {
	record, revision, err := t.record, t.revision, error(nil)
	if !pool.ReadOnly {
		record, revision, err = f.records.Load(ctx, keyOf(pool, chunk))
	}
	switch {
	case err != nil:
		t.warn(err)
		if t.record.Champion == 0 {
			return champion.Begin(champion.First(pool.Seasons), now)
		}
		return t.record
	case record.Champion == 0:
		pinned := record.Pinned
		record = champion.Begin(champion.First(pool.Seasons), now)
		record.Pinned = pinned
	}
	t.record, t.revision = record, revision
	return record
}

// keep saves what has changed, and says whether that worked.
func (f *Forecaster) keep(ctx context.Context, t *tracked, pool Pool, chunk string, next champion.Record) bool {
	if !pool.ReadOnly && (t.revision == "" || !next.Equal(t.record)) {
		revision, err := f.records.Save(ctx, keyOf(pool, chunk), next, t.revision)
		if err != nil {
			t.warn(err)
			return false
		}
		t.revision = revision
	}
	t.record = next
	t.mu.Lock()
	t.trials = nil
	t.mu.Unlock()
	return true
}

// news is an event about a pool.
type news struct {
	kind, reason, text string
	outcome            champion.Outcome
}

// decide enters trials that have ended and live errors into a record.
func (t *tracked) decide(record champion.Record, chunk string, now time.Time) (champion.Record, []news) {
	t.mu.Lock()
	trials := t.trials
	t.mu.Unlock()
	var all []news
	if trials != nil {
		next, verdict := record.AfterTrials(*trials, now)
		record = next
		all = append(all, newsOf(record, verdict, chunk))
	}
	if record.Pinned == 0 && record.Previous != 0 && t.live.Worse(now) {
		all = append(all, news{
			corev1.EventTypeWarning, v1alpha1.ReasonForecastRolledBack,
			fmt.Sprintf("chunk %s: version %d erred by more than a fifth more than version %d over six hours: version %d is back in use",
				chunk, record.Champion, record.Previous, record.Previous), champion.OutcomeRolledBack,
		})
		record = record.RollBack()
	}
	inUse := record.InUse()
	degraded := inUse.Number == t.liveOf && t.live.Degraded(record.Degraded, inUse.Score, now)
	if degraded && !record.Degraded {
		over := t.live.Over()
		all = append(all, news{
			kind: corev1.EventTypeWarning, reason: v1alpha1.ReasonForecastDegraded,
			text: fmt.Sprintf("chunk %s: the error of version %d is %.3g of the demand over the last day, %.3g in its trial: other settings are tried every six hours",
				chunk, inUse.Number, over.Loss/over.Demand, inUse.Score.Loss),
		})
	}
	record.Degraded = degraded
	return record, all
}

func newsOf(record champion.Record, verdict champion.Verdict, chunk string) news {
	last := record.Versions[len(record.Versions)-1]
	if !verdict.Promote {
		return news{outcome: champion.OutcomeRejected}
	}
	return news{
		corev1.EventTypeNormal, v1alpha1.ReasonForecastPromoted,
		fmt.Sprintf("chunk %s: version %d replaces version %d: its error was %.1f %% less on %d origins of seven days (P %.2f); to go back set spec.version of the ForecastModel to %d",
			chunk, last.Number, last.Against, 100*verdict.Better, last.Score.Origins, verdict.Probability, last.Against),
		champion.OutcomePromoted,
	}
}

func (f *Forecaster) tell(pool Pool, n news) {
	if n.outcome != "" {
		f.metrics.retrainings.WithLabelValues(string(n.outcome)).Inc()
	}
	if n.text == "" || f.events == nil {
		return
	}
	object := &v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: pool.Name, UID: pool.UID}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WarmPool"))
	f.events.Eventf(object, nil, n.kind, n.reason, "Forecast", "%s", n.text)
}

// try lets all challengers and the champion forecast the last seven days, beside the loop.
func (f *Forecaster) try(t *tracked, record champion.Record, seasons []time.Duration, asked question) {
	t.mu.Lock()
	busy := t.trying || t.trials != nil
	t.trying = t.trying || !busy
	loads := t.loads
	t.mu.Unlock()
	if busy {
		return
	}
	inUse := record.InUse()
	f.beside(f.trying, func() {
		t.mu.Lock()
		series := t.copy()
		t.mu.Unlock()
		trials, err := tryAll(inUse, seasons, series, asked)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.trying = false
		switch {
		case err != nil:
			t.failed = fmt.Errorf("retrain: %w", err)
		case loads == t.loads:
			t.trials = &trials
		}
	})
}

func tryAll(inUse champion.Version, seasons []time.Duration, series forecast.Series, asked question) (champion.Trials, error) {
	length := time.Duration(len(series.Values)) * series.Step
	trials := champion.Trials{
		Champion: inUse.Number, From: series.Start, To: series.End(),
		Settings: champion.Challengers(inUse.Settings, seasons, length),
	}
	trial, err := champion.Try(asked.modelOf(inUse.Settings), inUse.Settings, series, asked.horizon)
	if err != nil {
		return trials, err
	}
	trials.Trial = trial
	for _, s := range trials.Settings {
		trial, err := champion.Try(asked.modelOf(s), s, series, asked.horizon)
		if err != nil {
			return trials, err
		}
		trials.Challengers = append(trials.Challengers, trial)
	}
	return trials, nil
}

// modelOf is told of events as the forecasts are: a trial whose history is cut off before one ends knows
// of it what was known then.
func (q question) modelOf(s champion.Settings) forecast.Model {
	if s.Model == forecast.SourceAuto {
		return forecast.Informed{Model: forecast.Auto{}, Events: q.events}
	}
	return forecast.Informed{Model: forecast.Combined{}, Events: q.events}
}

// pending is a forecast whose outcome is not known yet.
type pending struct {
	at time.Time
	// now is what was forecast, before what the version before would have said, if there was one.
	now    forecast.Forecast
	before *forecast.Forecast
}

// settle compares the pending forecast with what came, once that is known.
func (t *tracked) settle() {
	p := t.pending
	if p == nil {
		return
	}
	at := func(ahead time.Duration) int {
		return int(p.at.Sub(t.Start)/t.Step) + champion.StepsAhead(ahead, t.Step)
	}
	if at(slices.Max(p.now.Horizon)) >= len(t.Values) {
		return
	}
	t.pending = nil
	came := func(ahead time.Duration) float64 {
		i := at(ahead)
		if i < 0 || i >= len(t.Values) {
			return math.NaN()
		}
		return t.Values[i]
	}
	now := champion.Judge(p.now, came)
	if now.Values == 0 {
		return
	}
	var before *champion.Result
	if p.before != nil {
		result := champion.Judge(*p.before, came)
		before = &result
	}
	t.live.Add(p.at, now, before)
}

// await remembers a forecast until its outcome is known, unless another is awaited.
func (f *Forecaster) await(t *tracked, v champion.Version, answer forecast.Forecast, asked question) error {
	if t.pending != nil || answer.Source == forecast.SourceNone {
		return nil
	}
	answer.Paths = nil
	t.pending = &pending{at: asked.now, now: answer}
	previous, ok := t.record.Find(t.record.Previous)
	if !ok || v.Number != t.record.Champion {
		return nil
	}
	before, err := f.answer(t, previous, asked)
	before.Paths = nil
	t.pending.before = &before
	return err
}

// forget drops the fits of versions that are not needed.
func (t *tracked) forget(record champion.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for number := range t.fits {
		if number != record.InUse().Number && number != record.Previous {
			delete(t.fits, number)
		}
	}
}

func (f *Forecaster) report(t *tracked, pool Pool, chunk string, record champion.Record) {
	set := func(degraded bool) float64 {
		if degraded {
			return 1
		}
		return 0
	}
	f.metrics.version.WithLabelValues(pool.Name, chunk).Set(float64(record.InUse().Number))
	f.metrics.degraded.WithLabelValues(pool.Name, chunk).Set(set(record.Degraded))
	if over := t.live.Over(); over.Values > 0 {
		f.metrics.loss.WithLabelValues(pool.Name, chunk).Set(over.Loss)
		f.metrics.coverage.WithLabelValues(pool.Name, chunk).Set(over.Inside)
	}
}
