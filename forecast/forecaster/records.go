package forecaster

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/forecast/champion"
	"forewarm.dev/forecast/history"
)

// Records keeps the versions of each chunk beyond the life of the process.
type Records interface {
	// Load returns a chunk's record and its revision, both empty where there is none.
	Load(ctx context.Context, key history.Key) (champion.Record, string, error)
	// Save keeps a record over that of a revision, and returns the new revision. It fails if
	// somebody else has written since.
	Save(ctx context.Context, key history.Key, record champion.Record, revision string) (string, error)
}

// Models keeps records in ForecastModel objects.
type Models struct{ client client.Client }

// NewModels makes a Models. The client should read ForecastModel objects from the API server,
// not from an informer, which may not have seen our own last write.
func NewModels(c client.Client) Models { return Models{c} }

// Load implements Records.
func (m Models) Load(ctx context.Context, key history.Key) (champion.Record, string, error) {
	object := &v1alpha1.ForecastModel{}
	err := m.client.Get(ctx, client.ObjectKey{Name: modelName(key)}, object)
	if apierrors.IsNotFound(err) {
		return champion.Record{}, "", nil
	}
	if err != nil {
		return champion.Record{}, "", fmt.Errorf("get ForecastModel %s: %w", modelName(key), err)
	}
	record, err := recordOf(object)
	if err != nil {
		return record, object.ResourceVersion, fmt.Errorf("ForecastModel %s: %w", object.Name, err)
	}
	return record, object.ResourceVersion, nil
}

// Save implements Records.
func (m Models) Save(ctx context.Context, key history.Key, record champion.Record, revision string) (string, error) {
	object := &v1alpha1.ForecastModel{ObjectMeta: metav1.ObjectMeta{Name: modelName(key), ResourceVersion: revision}}
	if revision == "" {
		object.Labels = map[string]string{v1alpha1.LabelPool: key.Pool, v1alpha1.LabelChunk: key.Chunk}
		if key.PoolUID != "" {
			object.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "WarmPool", Name: key.Pool, UID: key.PoolUID,
			}}
		}
		if err := m.client.Create(ctx, object); err != nil {
			return "", fmt.Errorf("create ForecastModel %s: %w", object.Name, err)
		}
	}
	object.Status = statusOf(record)
	if err := m.client.Status().Update(ctx, object); err != nil {
		return "", fmt.Errorf("write status of ForecastModel %s: %w", object.Name, err)
	}
	return object.ResourceVersion, nil
}

// modelName is the name of the object. Chunks have no dots, so no two share one.
func modelName(key history.Key) string { return key.Pool + "." + key.Chunk }
