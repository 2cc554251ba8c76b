// Package parts reads those parts of an admission review, and of the objects in it, that a decision
// looks at.
package parts

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

// pick appends the members that are wanted of the value that begins at at, of a list those of
// its elements, and returns where that ends. What is neither is appended as it is, and so is a
// member whose name has an escape: the decoder says what they mean.
func pick(out, data []byte, at int, want wanted) (picked []byte, end int, err error) {
	switch first := token(data, at); {
	case want != nil && first == '{':
		return pickMembers(out, data, at, want)
	case want != nil && first == '[':
		return pickElements(out, data, at, want)
	}
	end, err = valueEnd(data, at)
	return append(out, data[at:end]...), end, err
}

func pickMembers(out, data []byte, at int, want wanted) (picked []byte, end int, err error) {
	out = append(out, '{')
	start := len(out)
	end, err = members(data, at, func(name []byte, value int) (int, error) {
		inner, known := want[string(name[1:len(name)-1])]
		if !known && bytes.IndexByte(name, '\\') < 0 {
			return valueEnd(data, value)
		}
		var end int
		var err error
		out, end, err = pick(appendName(out, start, name), data, value, inner)
		return end, err
	})
	return append(out, '}'), end, err
}

func pickElements(out, data []byte, at int, want wanted) (picked []byte, end int, err error) {
	out = append(out, '[')
	at = space(data, at+1)
	if token(data, at) == ']' {
		return append(out, ']'), at + 1, nil
	}
	for {
		if at >= len(data) {
			return out, at, errEnd
		}
		if out, at, err = pick(out, data, at, want); err != nil {
			return out, at, err
		}
		at = space(data, at)
		switch token(data, at) {
		case ']':
			return append(out, ']'), at + 1, nil
		case ',':
			out, at = append(out, ','), space(data, at+1)
		default:
			return out, at, errEnd
		}
	}
}

// appendName begins a member of an object whose first member is at start.
func appendName(out []byte, start int, name []byte) []byte {
	if len(out) > start {
		out = append(out, ',')
	}
	return append(append(out, name...), ':')
}

// Review decodes a review. Its objects are not decoded but stay parts of the body, and
// the options of the write are left out, as is what was asked for before the API server
// converted it.
func Review(body []byte) (*admissionv1.AdmissionReview, error) {
	body = bytes.TrimSpace(body)
	if review, ok := plainReview(body); ok {
		return review, nil
	}
	return decodedReview(body)
}

// decodedReview is a review that is written in any way.
func decodedReview(body []byte) (*admissionv1.AdmissionReview, error) {
	var object, old []byte
	rest := append(make([]byte, 0, 2048), '{')
	end, err := members(body, 0, func(name []byte, value int) (end int, err error) {
		rest = appendName(rest, 1, name)
		if string(name) == `"request"` && body[value] == '{' {
			rest, object, old, end, err = splitRequest(rest, body, value)
			return end, err
		}
		end, err = valueEnd(body, value)
		rest = append(rest, body[value:end]...)
		return end, err
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

// splitRequest appends the request that begins at at without its objects, and returns those and
// where it ends.
func splitRequest(rest, body []byte, at int) (out, object, old []byte, end int, err error) {
	rest = append(rest, '{')
	start := len(rest)
	end, err = members(body, at, func(name []byte, value int) (int, error) {
		end, err := valueEnd(body, value)
		switch string(name) {
		case `"object"`:
			object = body[value:end]
		case `"oldObject"`:
			old = body[value:end]
		case `"options"`, `"requestKind"`, `"requestResource"`, `"requestSubResource"`:
		default:
			rest = append(appendName(rest, start, name), body[value:end]...)
		}
		return end, err
	})
	return append(rest, '}'), object, old, end, err
}

func present(value []byte) bool { return value != nil && string(value) != "null" }

// members calls visit with each name of the object that begins at at, in its quotes, and with
// where its value begins; visit returns where that ends, so that each byte is looked at once.
// members returns where the object ends.
func members(data []byte, at int, visit func(name []byte, value int) (end int, err error)) (end int, err error) {
	if token(data, at) != '{' {
		return at, errEnd
	}
	at = space(data, at+1)
	if token(data, at) == '}' {
		return at + 1, nil
	}
	for {
		name, value, err := member(data, at)
		if err != nil {
			return at, err
		}
		if at, err = visit(name, value); err != nil {
			return at, err
		}
		at = space(data, at)
		switch token(data, at) {
		case '}':
			return at + 1, nil
		case ',':
			at = space(data, at+1)
		default:
			return at, errEnd
		}
	}
}

// member reads a name, and where its value begins.
func member(data []byte, at int) (name []byte, value int, err error) {
	if token(data, at) != '"' {
		return nil, at, errEnd
	}
	named, err := stringEnd(data, at)
	if err != nil {
		return nil, at, err
	}
	colon := space(data, named)
	value = space(data, colon+1)
	if value >= len(data) || data[colon] != ':' {
		return nil, at, errEnd
	}
	return data[at:named], value, nil
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

// valueEnd is where the value that begins at at ends; at itself where it does not.
func valueEnd(data []byte, at int) (int, error) {
	switch token(data, at) {
	case '"':
		return stringEnd(data, at)
	case '{', '[':
		return nestedEnd(data, at)
	}
	end := bytes.IndexAny(data[at:], ",]} \n\t\r")
	if end < 0 { // to the end of all
		end = len(data) - at
	}
	if end == 0 {
		return at, errEnd
	}
	return at + end, nil
}

// marks are the bytes that matter to nestedEnd: by a table, since it looks at every byte of both
// objects, and most are none of these.
var marks = [256]byte{'"': 1, '{': 2, '[': 2, '}': 3, ']': 3}

// nestedEnd is where the object or list that begins at at ends.
func nestedEnd(data []byte, at int) (int, error) {
	for i, depth := at, 0; i < len(data); i++ {
		switch marks[data[i]] {
		case 0:
		case 1:
			// Most strings are short, so that a search by words is no gain.
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case 2:
			depth++
		case 3:
			if depth--; depth == 0 {
				return i + 1, nil
			}
		}
	}
	return at, errEnd
}

// stringEnd is where the string that begins at at ends: behind the next quote with an even
// number of backslashes before it.
func stringEnd(data []byte, at int) (int, error) {
	for from := at + 1; ; {
		quote := bytes.IndexByte(data[from:], '"')
		if quote < 0 {
			return at, errEnd
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
