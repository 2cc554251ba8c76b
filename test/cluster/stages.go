package cluster

import _ "embed"

// stages is what KWOK does to nodes and pods.
//
//go:embed stages.yaml
var stages []byte
