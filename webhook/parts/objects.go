package parts

import (
	"bytes"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/json"
)

// Object is what a ceiling needs to know of a workload, a Scale of any kind, or a
// Namespace.
type Object struct {
	Metadata struct {
		Name            string                  `json:"name"`
		UID             types.UID               `json:"uid"`
		ResourceVersion string                  `json:"resourceVersion"`
		Annotations     map[string]string       `json:"annotations"`
		OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		Replicas *int64 `json:"replicas"`
	} `json:"spec"`
}

// objectParts are the members of the JSON that an Object has.
var objectParts = wanted{
	"metadata": {"name": nil, "uid": nil, "resourceVersion": nil, "annotations": nil, "ownerReferences": nil},
	"spec":     {"replicas": nil},
}

// ObjectOf reads names case-sensitively, as the API server does, so that "Replicas"
// is not mistaken for replicas. No bytes are an empty object: there is no old one on
// create.
func ObjectOf(raw []byte, what string) (Object, error) {
	var o Object
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return o, nil
	}
	if read, ok := plainObject(raw); ok {
		return read, nil
	}
	return decoded(raw, what)
}

// decoded is an object that is written in any way.
func decoded(raw []byte, what string) (o Object, err error) {
	parts, end, err := pick(make([]byte, 0, 1024), raw, 0, objectParts)
	if err == nil && end != len(raw) {
		err = errEnd
	}
	if err == nil {
		err = json.UnmarshalCaseSensitivePreserveInts(parts, &o)
	}
	if err != nil {
		return o, fmt.Errorf("decode %s: %w", what, err)
	}
	return o, nil
}

// Replicas is the number of replicas, or absent where none is given.
func (o Object) Replicas(absent int64) int64 {
	if o.Spec.Replicas == nil {
		return absent
	}
	return *o.Spec.Replicas
}

// podParts are the members that a review of a pod looks at.
var podParts = wanted{
	"metadata": {"name": nil, "labels": nil, "annotations": nil},
	"spec": {
		"containers": containerParts, "initContainers": containerParts, "resourceClaims": nil, "resources": nil, "overhead": nil,
		"tolerations": nil, "nodeName": nil, "nodeSelector": nil, "priorityClassName": nil, "affinity": {"nodeAffinity": nil},
	},
}

var containerParts = wanted{"name": nil, "restartPolicy": nil, "resources": nil}

// PodOf returns what is looked at of a pod, and nil for one without metadata or spec, to
// which no patch applies.
func PodOf(raw []byte) (*corev1.Pod, error) {
	var parts struct {
		Metadata *metav1.ObjectMeta `json:"metadata"`
		Spec     *corev1.PodSpec    `json:"spec"`
	}
	raw = bytes.TrimSpace(raw)
	picked, end, err := pick(make([]byte, 0, 2048), raw, 0, podParts)
	if err == nil && end != len(raw) {
		err = errEnd
	}
	if err == nil {
		err = json.UnmarshalCaseSensitivePreserveInts(picked, &parts)
	}
	if err != nil {
		return nil, fmt.Errorf("decode pod: %w", err)
	}
	if parts.Metadata == nil || parts.Spec == nil {
		return nil, nil
	}
	return &corev1.Pod{ObjectMeta: *parts.Metadata, Spec: *parts.Spec}, nil
}

// Any is a whole object, numbers as int64 or float64, nil where there is none.
func Any(raw []byte, what string) (any, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var out any
	if err := json.UnmarshalCaseSensitivePreserveInts(raw, &out); err != nil {
		return nil, fmt.Errorf("decode %s: %w", what, err)
	}
	return out, nil
}
