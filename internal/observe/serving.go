package observe

import (
	"context"
	"crypto/tls"
	"fmt"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"forewarm.dev/internal/config"
)

// ServeFiles has base serve with the certificate of files, and accept client certificates of authority
// unless that is nil. What has changed in files is served without a restart, until ctx ends; whoever
// made authority runs it. field is where the configuration names the files, for errors.
func ServeFiles(ctx context.Context, base *tls.Config, field string, files config.Serving, authority dynamiccertificates.CAContentProvider) error {
	serving, err := dynamiccertificates.NewDynamicServingContentFromFiles(field, files.CertFile, files.KeyFile)
	if err != nil {
		return fmt.Errorf("read %s: %w", field, err)
	}
	controller := dynamiccertificates.NewDynamicServingCertificateController(base, authority, serving, nil, nil)
	serving.AddListener(controller)
	if authority != nil {
		authority.AddListener(controller)
	}
	if err := controller.RunOnce(); err != nil {
		return fmt.Errorf("load the serving certificate: %w", err)
	}
	go serving.Run(ctx, 1)
	go controller.Run(1, ctx.Done())
	base.GetConfigForClient = controller.GetConfigForClient
	return nil
}
