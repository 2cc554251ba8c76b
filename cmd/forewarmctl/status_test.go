package main

import (
	"bytes"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/cmd/forewarmctl/output"
)

func TestStatusNamesWhatNeedsAPerson(t *testing.T) {
	pool := v1alpha1.WarmPool{ObjectMeta: metav1.ObjectMeta{Name: "a100"}}
	for name, is := range map[string]metav1.ConditionStatus{
		v1alpha1.ConditionConflict: metav1.ConditionFalse, v1alpha1.ConditionAboveCeiling: metav1.ConditionTrue,
	} {
		pool.Status.Conditions = append(pool.Status.Conditions, metav1.Condition{Type: name, Status: is, Reason: "Why", Message: "5 nodes stand"})
	}
	var out bytes.Buffer
	var format output.Format
	err := format.Print(&out, nil, func(p *output.Page) { problems(p, []v1alpha1.WarmPool{pool}) })
	if err != nil || out.String() != "\na100: AboveCeiling (Why): 5 nodes stand\n" {
		t.Errorf("printed %q, %v", out.String(), err)
	}
}
