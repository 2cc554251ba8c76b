package bypass

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"forewarm.dev/webhook"
	"forewarm.dev/webhook/audit"
)

// table is what the webhook knows: the built-in kinds, and those of its configuration file.
func (s *suite) table() ([]webhook.Kind, error) {
	others, err := otherKinds()
	if err != nil {
		return nil, err
	}
	out := webhook.Kinds()
	for _, kind := range others {
		if !subjects()[key(kind.Group, kind.Resource)].onlyScale {
			out = append(out, kind)
		}
	}
	return out, nil
}

// explain asks what forewarmctl explain would say of a number, before it is written; nil where
// another way has asked the same.
func (x trial) explain(ctx context.Context, w way, name string, asked int64) (*webhook.Decision, error) {
	if w.name != "update" && w.name != "scale patch" {
		return nil, nil
	}
	o, err := x.resource(x.kind, x.kind.Version).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	ask := &audit.Ask{By: x.count.Field, To: asked}
	if x.subject.onlyScale {
		ask.By = "" // nobody has told where the count stands
	}
	x.explained.Add(1)
	explained, err := x.explainer.Explain(ctx, schema.GroupVersionResource{Group: x.kind.Group, Version: x.kind.Version, Resource: x.kind.Resource}, o, ask)
	return &explained.Decision, err
}
