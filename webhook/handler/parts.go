package handler

import (
	"bytes"
	"encoding/json"
	"errors"

	admissionv1 "k8s.io/api/admission/v1"
)

// A review holds an object twice, and little of it matters: most of what decoding costs is
// reading the rest. So the bytes that matter are picked out first, and only they are
// decoded. What is passed over is read just far enough to find its end, so an error within
// it goes unnoticed; the API server has decoded it before.

// errEnd says that JSON ends too early or is put together wrongly.
var errEnd = errors.New("not a whole JSON object")

// wanted names the members of an object that matter; nil stands for all of a value.
type wanted map[string]wanted

// pick appends the members of an object that are wanted. What is no object is appended as
// it is, and so is a member whose name has an escape: the decoder says what they mean.
func pick(out, object []byte, want wanted) ([]byte, error) {
	if want == nil || object[0] != '{' {
		return append(out, object...), nil
	}
	out = append(out, '{')
	start := len(out)
	end, err := members(object, func(name, value []byte) error {
		inner, known := want[string(name[1:len(name)-1])]
		if !known && bytes.IndexByte(name, '\\') < 0 {
			return nil
		}
		var err error
		out, err = pick(appendName(out, start, name), value, inner)
		return err
	})
	if err == nil && end != len(object) {
		err = errEnd
	}
	return append(out, '}'), err
}

// appendName begins a member of an object whose first member is at start.
func appendName(out []byte, start int, name []byte) []byte {
	if len(out) > start {
		out = append(out, ',')
	}
	return append(append(out, name...), ':')
}

// decodeReview decodes a review. Its objects are not decoded but stay parts of the body, and
// the options of the write are left out.
func decodeReview(body []byte) (*admissionv1.AdmissionReview, error) {
	var object, old []byte
	rest := append(make([]byte, 0, 2048), '{')
	body = bytes.TrimSpace(body)
	end, err := members(body, func(name, value []byte) error {
		rest = appendName(rest, 1, name)
		if string(name) != `"request"` || value[0] != '{' {
			rest = append(rest, value...)
			return nil
		}
		var err error
		rest, object, old, err = splitRequest(rest, value)
		return err
	})
	if err == nil && end != len(body) {
		err = errEnd
	}
	if err != nil {
		return nil, err
	}
	review := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(append(rest, '}'), review); err != nil || review.Request == nil {
		return review, err
	}
	if present(object) {
		review.Request.Object.Raw = object
	}
	if present(old) {
		review.Request.OldObject.Raw = old
	}
	return review, nil
}

// splitRequest appends a request without its objects, and returns those.
func splitRequest(rest, request []byte) (out, object, old []byte, err error) {
	rest = append(rest, '{')
	start := len(rest)
	_, err = members(request, func(name, value []byte) error {
		switch string(name) {
		case `"object"`:
			object = value
		case `"oldObject"`:
			old = value
		case `"options"`:
		default:
			rest = append(appendName(rest, start, name), value...)
		}
		return nil
	})
	return append(rest, '}'), object, old, err
}

func present(value []byte) bool { return value != nil && string(value) != "null" }

// members calls visit with each name of an object, in its quotes, and its value, and returns
// where the object ends.
func members(object []byte, visit func(name, value []byte) error) (end int, err error) {
	if token(object, 0) != '{' {
		return 0, errEnd
	}
	at := space(object, 1)
	if token(object, at) == '}' {
		return at + 1, nil
	}
	for {
		name, value, after, err := member(object, at)
		if err != nil {
			return 0, err
		}
		if err := visit(name, value); err != nil {
			return 0, err
		}
		switch token(object, after) {
		case '}':
			return after + 1, nil
		case ',':
			at = space(object, after+1)
		default:
			return 0, errEnd
		}
	}
}

// member reads a name and a value, and where the next token stands.
func member(object []byte, at int) (name, value []byte, after int, err error) {
	if token(object, at) != '"' {
		return nil, nil, 0, errEnd
	}
	named, err := stringEnd(object, at)
	if err != nil {
		return nil, nil, 0, err
	}
	colon := space(object, named)
	begin := space(object, colon+1)
	if begin >= len(object) || token(object, colon) != ':' {
		return nil, nil, 0, errEnd
	}
	end, err := valueEnd(object, begin)
	if err != nil {
		return nil, nil, 0, err
	}
	return object[at:named], object[begin:end], space(object, end), nil
}

// token is the byte at a place, 0 behind the end.
func token(data []byte, at int) byte {
	if at >= len(data) {
		return 0
	}
	return data[at]
}

// space is the first place from at on that is no white space.
func space(data []byte, at int) int {
	for at < len(data) && (data[at] == ' ' || data[at] == '\n' || data[at] == '\t' || data[at] == '\r') {
		at++
	}
	return at
}

// valueEnd is where the value that begins at at ends.
func valueEnd(data []byte, at int) (int, error) {
	switch data[at] {
	case '"':
		return stringEnd(data, at)
	case '{', '[':
		return nestedEnd(data, at)
	}
	end := bytes.IndexAny(data[at:], ",]} \n\t\r")
	if end <= 0 {
		return 0, errEnd
	}
	return at + end, nil
}

// nestedEnd is where the object or list that begins at at ends.
func nestedEnd(data []byte, at int) (int, error) {
	for depth := 0; at < len(data); at++ {
		switch data[at] {
		case '"':
			end, err := stringEnd(data, at)
			if err != nil {
				return 0, err
			}
			at = end - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1, nil
			}
		}
	}
	return 0, errEnd
}

// stringEnd is where the string that begins at at ends: behind the next quote with an even
// number of backslashes before it.
func stringEnd(data []byte, at int) (int, error) {
	for from := at + 1; ; {
		quote := bytes.IndexByte(data[from:], '"')
		if quote < 0 {
			return 0, errEnd
		}
		end := from + quote
		first := end
		for data[first-1] == '\\' {
			first--
		}
		if (end-first)%2 == 0 {
			return end + 1, nil
		}
		from = end + 1
	}
}
