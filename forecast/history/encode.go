package history

import (
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Sample is the demand at a time.
type Sample struct {
	// At is the time, kept to the millisecond.
	At time.Time
	// Demand is in chunks.
	Demand float64
}

// schemaVersion says that the samples are Prometheus XOR chunks (Gorilla, Pelkonen et al. 2015).
const schemaVersion = 1

// samplesPerChunk bounds how much is decoded to append one sample.
const samplesPerChunk = 960

// encode appends samples, which are later than all in chunks, to the chunks.
func encode(chunks [][]byte, samples []Sample) ([][]byte, error) {
	chunks = append([][]byte(nil), chunks...)
	for len(samples) > 0 {
		var last []Sample
		if n := len(chunks); n > 0 {
			var err error
			if last, err = decodeOne(chunks[n-1]); err != nil {
				return nil, err
			}
			if len(last) < samplesPerChunk {
				chunks = chunks[:n-1]
			} else {
				last = nil
			}
		}
		room := min(samplesPerChunk-len(last), len(samples))
		data, err := encodeOne(append(last, samples[:room]...))
		if err != nil {
			return nil, err
		}
		chunks, samples = append(chunks, data), samples[room:]
	}
	return chunks, nil
}

func encodeOne(samples []Sample) ([]byte, error) {
	chunk := chunkenc.NewXORChunk()
	appender, err := chunk.Appender()
	if err != nil {
		return nil, fmt.Errorf("encode samples: %w", err)
	}
	for _, s := range samples {
		appender.Append(0, s.At.UnixMilli(), s.Demand)
	}
	return chunk.Bytes(), nil
}

// decode returns the samples of all chunks in order.
func decode(chunks [][]byte) ([]Sample, error) {
	var samples []Sample
	for i, data := range chunks {
		some, err := decodeOne(data)
		if err != nil {
			return nil, fmt.Errorf("chunk %d: %w", i, err)
		}
		samples = append(samples, some...)
	}
	return samples, nil
}

// headerBytes is the length of the sample count that a chunk starts with.
const headerBytes = 2

func decodeOne(data []byte) ([]Sample, error) {
	if len(data) < headerBytes {
		return nil, fmt.Errorf("%d bytes are no XOR chunk", len(data))
	}
	chunk, err := chunkenc.FromData(chunkenc.EncXOR, data)
	if err != nil {
		return nil, err
	}
	var samples []Sample
	iterator := chunk.Iterator(nil)
	for iterator.Next() != chunkenc.ValNone {
		at, demand := iterator.At()
		if math.IsNaN(demand) || math.IsInf(demand, 0) {
			continue
		}
		samples = append(samples, Sample{time.UnixMilli(at).UTC(), demand})
	}
	return samples, iterator.Err()
}
