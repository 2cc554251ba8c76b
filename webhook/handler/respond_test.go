package handler

import (
	"encoding/json"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/webhook"
)

// TestEncode: what is written without the encoder is what it would have written.
func TestEncode(t *testing.T) {
	allow := webhook.Decision{Verdict: webhook.Allow}
	warned, annotated, patched := allow, allow, allow
	warned.Warnings, annotated.Reason, patched.Patch = []string{"careful"}, webhook.ReasonAboveCeiling, []webhook.Operation{{Op: "remove", Path: "/a"}}
	for name, c := range map[string]struct {
		uid      types.UID
		decision webhook.Decision
	}{
		"allowed":   {"b7c9a8a0-3c1e-4f43-9b5e-2f6f5c1a0d9e", allow},
		"odd UID":   {`<"\é`, allow},
		"no UID":    {"", allow},
		"warned":    {"u-1", warned},
		"annotated": {"u-1", annotated},
		"patched":   {"u-1", patched},
		"denied":    {"u-1", webhook.Decision{Verdict: webhook.Deny, Message: "no"}},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := respond(c.uid, c.decision)
			if err != nil {
				t.Fatal(err)
			}
			got, err := encode(response)
			if err != nil {
				t.Fatal(err)
			}
			review := admissionv1.AdmissionReview{Response: response}
			review.APIVersion, review.Kind = "admission.k8s.io/v1", "AdmissionReview"
			want, err := json.Marshal(review)
			if err != nil || string(got) != string(want) {
				t.Errorf("%v\n got %s\nwant %s", err, got, want)
			}
		})
	}
}
