package export

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// client sends spans by OTLP over HTTP, as protobuf, to the path that the protocol says. The clients of
// OpenTelemetry would link gRPC for it (ADR 64).
type client struct {
	url  string
	http *http.Client
}

func newClient(endpoint string) *client {
	return &client{strings.TrimSuffix(endpoint, "/") + "/v1/traces", &http.Client{Timeout: sending}}
}

// Start connects to nobody yet.
func (c *client) Start(context.Context) error { return nil }

// Stop lets connections go.
func (c *client) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces sends spans once. TracesData is what an ExportTraceServiceRequest is, field by field.
func (c *client) UploadTraces(ctx context.Context, spans []*tracev1.ResourceSpans) error {
	body, err := proto.Marshal(&tracev1.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("write spans: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.CopyN(io.Discard, response.Body, largestAnswer) // so that the connection is used again
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the collector answers %s", response.Status)
	}
	return nil
}

// largestAnswer is how much of an answer is read, in bytes.
const largestAnswer = 64 << 10
