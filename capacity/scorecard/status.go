package scorecard

import (
	"fmt"
	"math"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
)

// Status is the scorecard of a pool after one more plan, nil where the pool acts. All that it goes on from is
// in the status, so that any replica can.
func Status(pool *v1alpha1.WarmPool, look Look, now time.Time) *v1alpha1.ScorecardStatus {
	if pool.Spec.Mode.Acts() {
		return nil
	}
	for _, chunk := range pool.Spec.Chunks {
		size := chunk.Requests[pool.Spec.Demand.Resource]
		look.Sizes = append(look.Sizes, size.AsApproximateFloat64())
	}
	return statusOf(cardOf(pool.Status.Scorecard).Next(look, now.Truncate(time.Second))) // as status keeps it
}

func cardOf(status *v1alpha1.ScorecardStatus) Card {
	if status == nil {
		return Card{}
	}
	card := Card{At: status.At.Time, Hours: bucketsOf(status.Hours), Days: bucketsOf(status.Days)}
	for _, c := range status.Chunks {
		card.Chunks = append(card.Chunks, Chunk{
			Name: c.Name, Demand: number(c.Demand), Free: number(c.Free), Warm: number(c.Warm),
			Coming: batchesOf(c.Coming), Wanted: batchesOf(c.Wanted),
		})
	}
	return card
}

func statusOf(card Card) *v1alpha1.ScorecardStatus {
	status := &v1alpha1.ScorecardStatus{
		At: metav1.NewTime(card.At), Day: told(Total(card.Hours)), Week: told(Total(card.Days)),
	}
	for _, b := range card.Hours {
		status.Hours = append(status.Hours, told(b))
	}
	for _, b := range card.Days {
		status.Days = append(status.Days, told(b))
	}
	for _, c := range card.Chunks {
		status.Chunks = append(status.Chunks, v1alpha1.ScorecardChunk{
			Name: c.Name, Demand: text(c.Demand), Free: text(c.Free), Warm: text(c.Warm),
			Coming: toldBatches(c.Coming), Wanted: toldBatches(c.Wanted),
		})
	}
	return status
}

func bucketsOf(told []v1alpha1.Score) []Bucket {
	var buckets []Bucket
	for _, s := range told {
		buckets = append(buckets, Bucket{Start: s.Since.Time, Score: Score{
			Arrived: number(s.Arrived), Free: number(s.Free), Warm: number(s.Warm),
			Avoided: number(s.WaitsAvoided), Spared: number(s.WaitHoursAvoided), Idle: number(s.IdleHours), Cost: number(s.IdleCost),
		}})
	}
	return buckets
}

func told(b Bucket) v1alpha1.Score {
	return v1alpha1.Score{
		Since: metav1.NewTime(b.Start), Arrived: text(b.Arrived), Free: text(b.Free), Warm: text(b.Warm),
		WaitsAvoided: text(b.Avoided), WaitHoursAvoided: text(b.Spared), IdleHours: text(b.Idle), IdleCost: text(b.Cost),
	}
}

func batchesOf(told []v1alpha1.ScorecardBatch) []Batch {
	var batches []Batch
	for _, b := range told {
		batches = append(batches, Batch{b.At.Time, number(b.Count)})
	}
	return batches
}

func toldBatches(batches []Batch) []v1alpha1.ScorecardBatch {
	var out []v1alpha1.ScorecardBatch
	for _, b := range batches {
		out = append(out, v1alpha1.ScorecardBatch{At: metav1.NewTime(b.At), Count: text(b.N)})
	}
	return out
}

// Text says in a line for the last day and one for the last week what would have happened; nothing of a pool
// that acts, or has not been looked at.
func Text(pool *v1alpha1.WarmPool) string {
	card := pool.Status.Scorecard
	if card == nil {
		return ""
	}
	resource, out := pool.Spec.Demand.Resource, ""
	for _, period := range []struct {
		name string
		of   v1alpha1.Score
	}{{"day", card.Day}, {"week", card.Week}} {
		s := period.of
		out += fmt.Sprintf("\n%s would have, in the last %s (since %s): of %s %s that arrived, had capacity ready for %s (%s without it); avoided %s waits, %s h in all; idled %s %s-hours, for %s\n",
			pool.Name, period.name, s.Since.UTC().Format("2006-01-02 15:04"), short(s.Arrived), resource,
			share(number(s.Free)+number(s.Warm), number(s.Arrived)), share(number(s.Free), number(s.Arrived)),
			short(s.WaitsAvoided), short(s.WaitHoursAvoided), short(s.IdleHours), resource, short(s.IdleCost))
	}
	return out
}

// share is a part of a whole in percent; all of nothing.
func share(part, whole float64) string {
	if whole <= 0 {
		return "100 %"
	}
	return strconv.FormatFloat(100*part/whole, 'f', 0, 64) + " %"
}

// short has one digit after the point.
func short(told string) string {
	return strconv.FormatFloat(math.Round(number(told)*10)/10, 'f', -1, 64)
}

// text has six digits after the point, so that what adds up in a week of seconds is right to the second.
func text(value float64) string {
	return strconv.FormatFloat(math.Round(value*1e6)/1e6, 'f', -1, 64)
}

// number reads what text wrote; what cannot be read is zero.
func number(text string) float64 {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return value
}
