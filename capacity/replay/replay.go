// Package replay keeps the input of a plan so that the same plan can be made again, bit for bit,
// anywhere. It is pure.
package replay

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"forewarm.dev/capacity"
)

// Input is all that a plan depends on.
type Input struct {
	Demand capacity.Demand
	State  capacity.State
	Limits capacity.Limits
	Now    time.Time
}

// NewInput leaves out what the plan does not look at.
func NewInput(demand capacity.Demand, state capacity.State, limits capacity.Limits, now time.Time) Input {
	return Input{Demand: capacity.Condense(demand, limits), State: state, Limits: limits, Now: now.Round(0).UTC()}
}

// Plan is the plan of this input.
func (i Input) Plan() capacity.Result { return capacity.Plan(i.Demand, i.State, i.Limits, i.Now) }

// Record is an input and the plan that was made of it, as JSON.
type Record struct {
	Input  json.RawMessage `json:"input"`
	Result json.RawMessage `json:"result"`
}

// NewRecord writes both down. Numbers that JSON does not know (NaN, infinite) are an error.
func NewRecord(input Input, result capacity.Result) (Record, error) {
	var r Record
	var err error
	if r.Input, err = json.Marshal(input); err != nil {
		return r, fmt.Errorf("write the input of a plan down: %w", err)
	}
	if r.Result, err = json.Marshal(result); err != nil {
		return r, fmt.Errorf("write a plan down: %w", err)
	}
	return r, nil
}

// Digest is the SHA-256 of the input, in hexadecimal digits.
func (r Record) Digest() string {
	sum := sha256.Sum256(r.Input)
	return hex.EncodeToString(sum[:])
}

// Outcome is what came of planning again.
type Outcome struct {
	// Identical says that the plan is the same, bit for bit.
	Identical bool
	// Then is what was planned, Now what is planned today.
	Then, Now capacity.Result
}

// Replay plans again. An input of a version that knew other fields is an error.
func (r Record) Replay() (Outcome, error) {
	var input Input
	if err := decode(r.Input, &input); err != nil {
		return Outcome{}, fmt.Errorf("read the input of a plan (was it made by another version?): %w", err)
	}
	var outcome Outcome
	if err := decode(r.Result, &outcome.Then); err != nil {
		return Outcome{}, fmt.Errorf("read a plan (was it made by another version?): %w", err)
	}
	outcome.Now = input.Plan()
	again, err := json.Marshal(outcome.Now)
	outcome.Identical = err == nil && bytes.Equal(again, r.Result)
	return outcome, err
}

// decode is strict: a field that we do not know may have decided.
func decode(text []byte, to any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(to); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}
