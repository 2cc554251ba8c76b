package waiting

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const refused = "2 node(s) kept warm for the demand class of WarmPool a100, which this pod is not in"

// TestRetry: who could not be touched comes back later and later, and nobody waits for it.
func TestRetry(t *testing.T) {
	p := New(func(Pod) string { return "a100/7" })
	now := time.Unix(0, 0)
	p.Await(Pod{UID: "first", Priority: 9}, refused, "")
	p.Await(Pod{UID: "second"}, refused, "")
	due := func(want types.UID) Pod {
		t.Helper()
		pod, _, _ := p.Due(now)
		if pod.UID != want {
			t.Fatalf("%q is due after %v, want %q", pod.UID, now.Sub(time.Unix(0, 0)), want)
		}
		return pod
	}
	first := due("first")
	p.Retry(first, now)
	due("second")
	for range 20 {
		due("")
		now = now.Add(time.Minute)
		first = due("first")
		p.Retry(first, now)
	}
	now = now.Add(time.Minute - 1)
	due("")
	p.Await(Pod{UID: "first"}, refused, "") // there is news of it
	due("first")
}

// TestRetryKeepsNews: what has been heard of a pod since counts, not what it was touched for.
func TestRetryKeepsNews(t *testing.T) {
	freed := "a100/7"
	p := New(func(Pod) string { return freed })
	p.Await(Pod{UID: "p"}, refused, "")
	old, _, _ := p.Due(time.Now())
	p.Await(Pod{UID: "p", Priority: 9}, refused, freed)
	p.Retry(old, time.Now())
	if _, _, ok := p.Due(time.Now().Add(time.Hour)); ok {
		t.Error("touched again, which it is already")
	}
	freed = "a100/9"
	p.Wake()
	if pod, value, _ := p.Due(time.Now()); pod.Priority != 9 || value != freed {
		t.Errorf("%+v, %q", pod, value)
	}
}
