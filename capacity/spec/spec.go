// Package spec reads from the spec of a WarmPool what plans are made with.
package spec

import (
	"fmt"
	"strconv"
	"time"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/internal/quantity"
)

// fieldError is a value of a WarmPool that cannot be used.
type fieldError struct {
	field string
	err   error
}

func (e fieldError) Error() string { return fmt.Sprintf("%s: %v", e.field, e.err) }

func (e fieldError) Unwrap() error { return e.err }

// gateAge is how long before its ungating a placeholder should exist: Cluster Autoscaler
// ignores pending GPU pods that are younger than 30 s.
const gateAge = 40 * time.Second

// Chunks converts the chunks of a pool.
func Chunks(pool *v1alpha1.WarmPool) ([]capacity.Chunk, error) {
	var chunks []capacity.Chunk
	for i, c := range pool.Spec.Chunks {
		wait, err := strconv.ParseFloat(c.WaitCostPerHour, 64)
		if err != nil {
			return nil, fieldError{fmt.Sprintf("spec.chunks[%d].waitCostPerHour", i), err}
		}
		idle, err := strconv.ParseFloat(c.IdleCostPerHour, 64)
		if err != nil {
			return nil, fieldError{fmt.Sprintf("spec.chunks[%d].idleCostPerHour", i), err}
		}
		requests := quantity.Of(c.Requests)
		if requests[pool.Spec.Demand.Resource] <= 0 {
			return nil, fieldError{fmt.Sprintf("spec.chunks[%d].requests", i), fmt.Errorf("%s must be greater than zero", pool.Spec.Demand.Resource)}
		}
		chunks = append(chunks, capacity.Chunk{
			Name: c.Name, Requests: requests,
			WaitCostPerHour: wait, IdleCostPerHour: idle,
			Min: int64(c.Min), Max: int64(c.Max),
		})
	}
	return chunks, nil
}

// Limits converts the limits of a pool.
func Limits(pool *v1alpha1.WarmPool, chunks []capacity.Chunk, lead time.Duration, maxChanges int) capacity.Limits {
	return capacity.Limits{
		Chunks:     chunks,
		LeadTime:   lead,
		Hold:       pool.Spec.Sizing.Hold.Duration,
		MinBilling: pool.Spec.Sizing.MinBilling.Duration,
		Interval:   pool.Spec.Forecast.Interval.Duration,
		GateAge:    gateAge,
		MaxChanges: maxChanges,
	}
}

// Amount reads a decimal number; nil for none.
func Amount(field, text string) (*float64, error) {
	if text == "" {
		return nil, nil
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fieldError{field, err}
	}
	return &value, nil
}
