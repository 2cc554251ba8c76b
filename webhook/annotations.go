package webhook

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"forewarm.dev/webhook/expression"
)

// Annotations by which admins set ceilings.
const (
	// MaxReplicas is the highest number of replicas: of the workload that carries it, of each
	// workload of a Namespace, or, on the Namespace kube-system, of each of the cluster.
	MaxReplicas = "forewarm.dev/max-replicas"
	// WorkloadMaxReplicas names workloads of a Namespace with a ceiling each, as in
	// "deployment/web=10, statefulset/db=3". It binds a workload that is deleted and made anew.
	WorkloadMaxReplicas = "forewarm.dev/workload-max-replicas"
	// MaxNodes is the highest number of nodes of the object that carries it, such as a
	// NodePool or a MachineDeployment; on kube-system, of each such object. Karpenter's
	// NodeClaims are held to it as a total: of their NodePool, and on kube-system of all;
	// a Machine that is made by hand, on its Cluster, with all Machines of that.
	MaxNodes = "forewarm.dev/max-nodes"
	// MaxTotalReplicas on a Namespace is the highest sum of the replicas of its workloads.
	MaxTotalReplicas = "forewarm.dev/max-total-replicas"
	// MaxGPUs on a Namespace is the highest sum of the GPUs of its workloads.
	MaxGPUs = "forewarm.dev/max-gpus"
	// AllowedInstanceTypes are the approved instance types, as in "p4d.*, g5.xlarge": of the NodePool
	// or WarmPool that carries it; on kube-system, of every NodePool and NodeClaim.
	AllowedInstanceTypes = "forewarm.dev/allowed-instance-types"
	// CeilingMode is a [Mode], for the workloads of a Namespace or for a node pool's object.
	CeilingMode = "forewarm.dev/ceiling-mode"
	// CeilingOverride lets one workload or node pool past every ceiling, to a number and for a
	// time: "20 until 2026-12-01T00:00:00Z: load test".
	CeilingOverride = "forewarm.dev/ceiling-override"
	// OriginalMaxReplicas keeps what an HPA's maxReplicas was before it was brought under a
	// ceiling. Forewarm writes it.
	OriginalMaxReplicas = "forewarm.dev/original-max-replicas"
	// OriginalMinReplicas keeps minReplicas likewise.
	OriginalMinReplicas = "forewarm.dev/original-min-replicas"
	// ClampedFrom is on a Scale that the API server has clamped by itself, and says what was asked
	// for. It is not stored.
	ClampedFrom = "forewarm.dev/clamped-from"
)

// Written are the annotations whose values are checked where they are written.
func Written() []string {
	return []string{MaxReplicas, WorkloadMaxReplicas, MaxNodes, MaxTotalReplicas, MaxGPUs, AllowedInstanceTypes, CeilingMode, CeilingOverride}
}

// Mode is what a ceiling does to a write above it.
type Mode string

// Modes.
const (
	// Enforce refuses the write, or clamps it where an autoscaler made it.
	Enforce Mode = "enforce"
	// Warn lets it through and warns the writer.
	Warn Mode = "warn"
	// Audit lets it through and leaves an audit annotation.
	Audit Mode = "audit"
)

// ParseMode reads a mode. A mode that cannot be read enforces: a typo lifts no ceiling.
func ParseMode(value string) (Mode, error) {
	if m := Mode(value); slices.Contains([]Mode{Enforce, Warn, Audit}, m) {
		return m, nil
	}
	return Enforce, fmt.Errorf("%q is none of enforce, warn, audit", value)
}

// ParseCeiling reads a ceiling: decimal digits, from 0 to 2147483647. No sign, space,
// fraction or exponent, since a ceiling must mean the same to everybody.
func ParseCeiling(value string) (int64, error) {
	for _, c := range []byte(value) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not a whole number from 0 to %d", value, math.MaxInt32)
		}
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number from 0 to %d", value, math.MaxInt32)
	}
	return n, nil
}

// ParseWorkloads reads the value of [WorkloadMaxReplicas]: entries KIND/NAME=NUMBER,
// separated by commas, with the kind in lower case.
func ParseWorkloads(value string) (map[string]int64, error) {
	out := map[string]int64{}
	for entry := range strings.SplitSeq(value, ",") {
		entry = strings.TrimSpace(entry)
		workload, number, found := strings.Cut(entry, "=")
		kind, name, named := strings.Cut(workload, "/")
		if !found || !named || kind == "" || name == "" || strings.ToLower(kind) != kind || strings.ContainsAny(name, "/ ") {
			return nil, fmt.Errorf("entry %q is not of the form kind/name=number, with the kind in lower case", entry)
		}
		limit, err := ParseCeiling(number)
		if err != nil {
			return nil, fmt.Errorf("entry %q: %w", entry, err)
		}
		if _, twice := out[workload]; twice {
			return nil, fmt.Errorf("%s is there twice", workload)
		}
		out[workload] = limit
	}
	return out, nil
}

// Override is a ceiling that replaces all others for a time.
type Override struct {
	Limit int64
	// Until is when it ends.
	Until time.Time
	// Why is for people and for the audit log.
	Why string
}

// ParseOverride reads the value of [CeilingOverride]: NUMBER until TIME: REASON, with the
// time as in RFC 3339.
func ParseOverride(value string) (Override, error) {
	number, rest, found := strings.Cut(value, " until ")
	when, why, explained := strings.Cut(rest, ": ")
	if !found || !explained || strings.TrimSpace(why) == "" {
		return Override{}, fmt.Errorf("%q is not of the form number until time: reason", value)
	}
	limit, err := ParseCeiling(number)
	if err != nil {
		return Override{}, err
	}
	until, err := time.Parse(time.RFC3339, when)
	if err != nil {
		return Override{}, fmt.Errorf("%q is not a time such as 2026-12-01T00:00:00Z", when)
	}
	return Override{Limit: limit, Until: until, Why: strings.TrimSpace(why)}, nil
}

// Workload is how [WorkloadMaxReplicas] names an object.
func (o Object) Workload() string {
	return strings.ToLower(o.Kind) + "/" + o.Name
}

// example is a value that would be read.
var example = map[string]string{
	MaxReplicas: "10", MaxNodes: "10", MaxTotalReplicas: "100", MaxGPUs: "64", WorkloadMaxReplicas: "deployment/web=10, statefulset/db=3", CeilingMode: string(Warn),
	CeilingOverride: "20 until 2026-12-01T00:00:00Z: load test", AllowedInstanceTypes: "p4d.*, g5.xlarge",
}

// Example is a value of an annotation that can be read.
func Example(annotation string) string { return example[annotation] }

// Malformed says what is wrong with the value of an annotation.
func Malformed(annotation, value string) error {
	var err error
	switch annotation {
	case MaxReplicas, MaxNodes, MaxTotalReplicas, MaxGPUs:
		_, err = ParseCeiling(value)
	case WorkloadMaxReplicas:
		_, err = ParseWorkloads(value)
	case AllowedInstanceTypes:
		_, err = expression.ParseInstances(value)
	case CeilingMode:
		_, err = ParseMode(value)
	case CeilingOverride:
		_, err = ParseOverride(value)
	}
	return err
}

// Rewrite is an annotation before and after a write; nil where it is not set.
type Rewrite struct{ Old, New *string }

// malformed refuses a write that introduces a value which cannot be read. A malformed value
// that is stored already does not block other edits of its object, and a controller's own
// object, to which the owner's annotations were copied, is never blocked by them.
func malformed(r Request, d *draft) bool {
	for _, annotation := range Written() {
		value := r.Rewritten[annotation].New
		if value == nil {
			continue
		}
		if err := Malformed(annotation, *value); err != nil {
			return d.finish(Deny, ReasonMalformed, fmt.Sprintf(
				`%s: annotation %s: %v; write for example %s: %q, or remove the annotation`,
				r.Object, annotation, err, annotation, example[annotation]))
		}
	}
	return false
}
