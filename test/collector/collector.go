// Package collector is as much of an OpenTelemetry collector as tests need: it takes spans by OTLP over HTTP,
// by the protocol's own messages, and keeps them.
package collector

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Span is one of what was sent.
type Span struct {
	// Service is which process sent it.
	Service string
	Name    string
	// Trace, ID and Parent are in hexadecimal; Parent is empty for the first of a trace.
	Trace, ID, Parent string
	Attributes        map[string]string
	// Failed says that its status is an error.
	Failed bool
}

// Collector takes spans.
type Collector struct {
	// Endpoint is the root of its URL.
	Endpoint string

	mu    sync.Mutex
	spans []Span
}

// New runs a collector until the test ends.
func New(t *testing.T) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.Endpoint = server.URL
	return c
}

// ServeHTTP takes what senders send.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := &collectorv1.ExportTraceServiceRequest{}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = proto.Unmarshal(body, request)
	}
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "no spans by OTLP over HTTP", http.StatusBadRequest)
		return
	}
	c.keep(request)
	answer, _ := proto.Marshal(&collectorv1.ExportTraceServiceResponse{}) // it is empty
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

func (c *Collector) keep(request *collectorv1.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, from := range request.GetResourceSpans() {
		service := ""
		for _, a := range from.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range from.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				span := Span{
					Service: service, Name: s.GetName(), Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()),
					Parent: hex.EncodeToString(s.GetParentSpanId()), Attributes: map[string]string{}, Failed: s.GetStatus().GetCode() == tracev1.Status_STATUS_CODE_ERROR,
				}
				for _, a := range s.GetAttributes() {
					span.Attributes[a.GetKey()] = a.GetValue().GetStringValue()
				}
				c.spans = append(c.spans, span)
			}
		}
	}
}

// Spans are all that have been sent so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Span(nil), c.spans...)
}
