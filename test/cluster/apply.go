package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// fieldOwner is who owns what Apply writes.
const fieldOwner = client.FieldOwner("forewarm-test")

// Apply writes objects by server-side apply, in the order given, and waits until a CRD among
// them is served.
func (c *Cluster) Apply(ctx context.Context, objects ...client.Object) error {
	for _, object := range objects {
		if err := c.applyOne(ctx, object); err != nil {
			return fmt.Errorf("apply %T %s: %w", object, client.ObjectKeyFromObject(object), err)
		}
	}
	return nil
}

func (c *Cluster) applyOne(ctx context.Context, object client.Object) error {
	kind, err := apiutil.GVKForObject(object, c.Client.Scheme())
	if err != nil {
		return err
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{Object: fields}
	u.SetGroupVersionKind(kind)
	u.SetManagedFields(nil)
	u.SetResourceVersion("")
	unstructured.RemoveNestedField(u.Object, "metadata", "creationTimestamp")
	if err := c.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), fieldOwner, client.ForceOwnership); err != nil {
		return err
	}
	if kind.Kind != "CustomResourceDefinition" {
		return nil
	}
	return c.established(ctx, u.GetName())
}

// established waits until the API server serves a CRD.
func (c *Cluster) established(ctx context.Context, name string) error {
	return Wait(ctx, 30*time.Second, func() error {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := c.Client.Get(ctx, client.ObjectKey{Name: name}, &crd); err != nil {
			return err
		}
		for _, condition := range crd.Status.Conditions {
			if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("CRD %s is not established yet", name)
	})
}

// ApplyFiles applies every object of the YAML files, in the order given.
func (c *Cluster) ApplyFiles(ctx context.Context, paths ...string) error {
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read manifests: %w", err)
		}
		objects, err := decode(data)
		if err != nil {
			return fmt.Errorf("manifest %s: %w", path, err)
		}
		if err := c.Apply(ctx, objects...); err != nil {
			return fmt.Errorf("manifest %s: %w", path, err)
		}
	}
	return nil
}

// decode reads the objects of a YAML stream; empty documents are skipped.
func decode(data []byte) ([]client.Object, error) {
	var objects []client.Object
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}
