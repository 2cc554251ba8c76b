// Package invariant says what must be true of a cluster whatever is killed, slow or cut off, and finds
// where it was not. Its checkers are told every change that the database has kept, each once and in
// the order in which they were made; they ask nobody and know no clock.
package invariant

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
)

// Change is one object before and after a write; Before is nil for a new one, After for one that is gone.
type Change struct {
	// Revision is the database's, which orders all changes.
	Revision int64
	// At is when it was seen.
	At            time.Time
	Before, After client.Object
}

// Violation is an invariant that did not hold.
type Violation struct {
	// Invariant is the checker's name.
	Invariant string `json:"invariant"`
	// Says what was found.
	Says string `json:"says"`
	// Revision is that of the change which broke it; zero where no single one did.
	Revision int64     `json:"revision,omitempty"`
	At       time.Time `json:"at"`
}

// Checker holds one invariant. It is not for concurrent use.
type Checker interface {
	// Name is that of the invariant.
	Name() string
	// See takes the next change, and returns what it broke.
	See(Change) []Violation
	// Look returns what time alone has broken by now.
	Look(now time.Time) []Violation
}

// name is the first half of a Checker.
type name string

func (n name) Name() string               { return string(n) }
func (n name) Look(time.Time) []Violation { return nil }

func (n name) violated(c Change, format string, args ...any) []Violation {
	return []Violation{{Invariant: string(n), Says: fmt.Sprintf(format, args...), Revision: c.Revision, At: c.At}}
}

// now and was are the object after and before, where it is of the type.
func now[T client.Object](c Change) (T, bool) { return typed[T](c.After) }
func was[T client.Object](c Change) (T, bool) { return typed[T](c.Before) }

func typed[T client.Object](o client.Object) (T, bool) {
	t, ok := o.(T)
	return t, ok
}

// key names an object within its kind.
func key(o client.Object) string { return o.GetNamespace() + "/" + o.GetName() }

// placeholder says whether a pod is one of ours.
func placeholder(pod *corev1.Pod) bool { return pod.Namespace == v1alpha1.PlaceholderNamespace }

// gated says whether a placeholder still waits to be asked for.
func gated(pod *corev1.Pod) bool { return len(pod.Spec.SchedulingGates) > 0 }

// ended says whether a pod holds nothing any more.
func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
