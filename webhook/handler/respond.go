package handler

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"forewarm.dev/webhook"
)

// respond turns a decision into a response. A denial is 403 Forbidden: autoscalers retry
// a 409 without end. The reason is kept in the audit log.
func respond(uid types.UID, d webhook.Decision) (*admissionv1.AdmissionResponse, error) {
	response := &admissionv1.AdmissionResponse{UID: uid, Allowed: d.Verdict == webhook.Allow, Warnings: d.Warnings}
	if !response.Allowed {
		response.Result = &metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: d.Message}
	}
	if !response.Allowed || d.Reason == webhook.ReasonAboveCeiling || d.Audit != nil {
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
