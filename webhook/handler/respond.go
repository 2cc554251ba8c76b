package handler

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// respond turns a decision into a response. A denial is 403 Forbidden: autoscalers retry
// a 409 without end. The reason is kept in the audit log.
func respond(uid types.UID, d webhook.Decision) (*admissionv1.AdmissionResponse, error) {
	response := &admissionv1.AdmissionResponse{UID: uid, Allowed: d.Verdict == webhook.Allow, Warnings: d.Warnings}
	if !response.Allowed {
		response.Result = &metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: d.Message}
	}
	if !response.Allowed || exceeds(d.Reason) || d.Audit != nil {
		response.AuditAnnotations = map[string]string{"reason": string(d.Reason)}
		maps.Copy(response.AuditAnnotations, d.Audit)
	}
	if len(d.Patch) == 0 {
		return response, nil
	}
	patch, err := json.Marshal(d.Patch)
	if err != nil {
		return nil, fmt.Errorf("encode patch: %w", err)
	}
	response.Patch, response.PatchType = patch, ptr.To(admissionv1.PatchTypeJSONPatch)
	return response, nil
}

// exceeds says whether a reason is one of what the modes warn and audit let through.
func exceeds(reason webhook.Reason) bool {
	return reason == webhook.ReasonAboveCeiling || reason == total.ReasonAboveTotal || reason == total.ReasonUnprovenOwner
}

// encode is the review with a response. Most say no more than that a write is allowed, and are
// written without the encoder, which is slow where caches are cold.
func encode(response *admissionv1.AdmissionResponse) ([]byte, error) {
	if says := *response; plain(says.UID) && says.Allowed && says.Result == nil && says.Patch == nil && says.AuditAnnotations == nil && says.Warnings == nil {
		return []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"` + says.UID + `","allowed":true}}`), nil
	}
	review := admissionv1.AdmissionReview{Response: response}
	review.APIVersion, review.Kind = "admission.k8s.io/v1", "AdmissionReview"
	return json.Marshal(review)
}

// plain says whether JSON writes a UID as it is, as it does those of API servers.
func plain(uid types.UID) bool {
	return !strings.ContainsFunc(string(uid), func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}
