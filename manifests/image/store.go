package main

import (
	"context"
	"os"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// refName is the annotation by which tools find an image in a layout.
const refName = "org.opencontainers.image.ref.name"

// write replaces a folder by an OCI layout of the image and its bills of materials.
func (b built) write(folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	if err := path.AppendIndex(b.index, layout.WithAnnotations(map[string]string{refName: b.version})); err != nil {
		return err
	}
	for _, bill := range b.bills {
		if err := path.AppendImage(bill); err != nil {
			return err
		}
	}
	return nil
}

// push sends the image, under a reference, and its bills of materials to a registry, with the
// credentials that docker login and others have left.
func (b built) push(ctx context.Context, reference string) error {
	tag, err := name.ParseReference(reference)
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(tag, b.index, options...); err != nil {
		return err
	}
	for _, bill := range b.bills {
		digest, err := bill.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(tag.Context().Digest(digest.String()), bill, options...); err != nil {
			return err
		}
	}
	return nil
}
