package parts

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	sigsjson "sigs.k8s.io/json"
)

// Decoding by reflection is most of what a review costs where caches are cold, as they are between
// two reviews. So what API servers write is read without it. What is written otherwise, or wrongly,
// is left to the decoder: reading it here ends with an error, and nothing that was read counts.

// errOther says that JSON is not as API servers write what is read here.
var errOther = errors.New("left to the decoder")

// plainReview is a review that an API server wrote, and false for any other.
func plainReview(body []byte) (*admissionv1.AdmissionReview, bool) {
	review := &admissionv1.AdmissionReview{}
	end, err := members(body, 0, func(name []byte, value int) (int, error) {
		switch string(name) {
		case `"kind"`:
			return text(body, value, &review.Kind)
		case `"apiVersion"`:
			return text(body, value, &review.APIVersion)
		case `"request"`:
			if review.Request != nil {
				return value, errOther // the decoder takes the objects of the last one
			}
			review.Request = &admissionv1.AdmissionRequest{}
			return plainRequest(body, value, review.Request)
		}
		return value, errOther
	})
	return review, err == nil && end == len(body)
}

func plainRequest(data []byte, at int, r *admissionv1.AdmissionRequest) (end int, err error) {
	fields := [...]field{
		{`"uid"`, (*string)(&r.UID)},
		{`"name"`, &r.Name},
		{`"namespace"`, &r.Namespace},
		{`"operation"`, (*string)(&r.Operation)},
		{`"subResource"`, &r.SubResource},
	}
	return members(data, at, func(name []byte, value int) (int, error) {
		switch string(name) {
		case `"kind"`:
			return texts(data, value, field{`"group"`, &r.Kind.Group}, field{`"version"`, &r.Kind.Version}, field{`"kind"`, &r.Kind.Kind})
		case `"resource"`:
			return texts(data, value, field{`"group"`, &r.Resource.Group}, field{`"version"`, &r.Resource.Version}, field{`"resource"`, &r.Resource.Resource})
		case `"userInfo"`:
			return plainUser(data, value, &r.UserInfo)
		case `"dryRun"`:
			return flag(data, value, &r.DryRun)
		case `"object"`:
			return part(data, value, &r.Object.Raw)
		case `"oldObject"`:
			return part(data, value, &r.OldObject.Raw)
		case `"options"`, `"requestKind"`, `"requestResource"`, `"requestSubResource"`:
			return valueEnd(data, value)
		}
		return textOf(data, name, value, fields[:])
	})
}

func plainUser(data []byte, at int, u *authenticationv1.UserInfo) (end int, err error) {
	return members(data, at, func(name []byte, value int) (int, error) {
		switch string(name) {
		case `"username"`:
			return text(data, value, &u.Username)
		case `"uid"`:
			return text(data, value, &u.UID)
		case `"groups"`:
			return list(data, value, &u.Groups)
		case `"extra"`:
			if u.Extra == nil {
				u.Extra = map[string]authenticationv1.ExtraValue{}
			}
			return members(data, value, func(name []byte, value int) (int, error) {
				var key string
				var values authenticationv1.ExtraValue
				if _, err := text(name, 0, &key); err != nil {
					return value, err
				}
				end, err := list(data, value, &values)
				u.Extra[key] = values
				return end, err
			})
		}
		return value, errOther
	})
}

// plainObject is an object that an API server wrote, and false for any other.
func plainObject(raw []byte) (o Object, ok bool) {
	end, err := members(raw, 0, func(name []byte, value int) (int, error) {
		switch string(name) {
		case `"metadata"`:
			return o.plainMetadata(raw, value)
		case `"spec"`:
			return members(raw, value, func(name []byte, value int) (int, error) {
				if string(name) == `"replicas"` {
					return count(raw, value, &o.Spec.Replicas)
				}
				return skipped(raw, name, value)
			})
		}
		return skipped(raw, name, value)
	})
	return o, err == nil && end == len(raw)
}

func (o *Object) plainMetadata(data []byte, at int) (end int, err error) {
	m := &o.Metadata
	return members(data, at, func(name []byte, value int) (int, error) {
		switch string(name) {
		case `"name"`:
			return text(data, value, &m.Name)
		case `"uid"`:
			return text(data, value, &m.UID)
		case `"resourceVersion"`:
			return text(data, value, &m.ResourceVersion)
		case `"annotations"`:
			if m.Annotations == nil {
				m.Annotations = map[string]string{}
			}
			return annotations(data, value, m.Annotations)
		case `"ownerReferences"`:
			end, err := valueEnd(data, value)
			if err == nil {
				err = sigsjson.UnmarshalCaseSensitivePreserveInts(data[value:end], &m.OwnerReferences)
			}
			return end, err
		}
		return skipped(data, name, value)
	})
}

// annotations reads an object of strings. Values with an escape are usual here: kubectl keeps whole
// objects in them.
func annotations(data []byte, at int, into map[string]string) (end int, err error) {
	return members(data, at, func(name []byte, value int) (int, error) {
		var key, read string
		if _, err := text(name, 0, &key); err != nil {
			return value, err
		}
		end, err := text(data, value, &read)
		if err != nil && token(data, value) == '"' {
			if end, err = stringEnd(data, value); err == nil {
				err = json.Unmarshal(data[value:end], &read)
			}
		}
		into[key] = read
		return end, err
	})
}

// field is a member of an object, by its name in quotes, and its place.
type field struct {
	name string
	into *string
}

// texts reads an object of strings that has only these members.
func texts(data []byte, at int, fields ...field) (end int, err error) {
	return members(data, at, func(name []byte, value int) (int, error) {
		return textOf(data, name, value, fields)
	})
}

// textOf reads a string that is one of some members.
func textOf(data, name []byte, at int, fields []field) (end int, err error) {
	for _, f := range fields {
		if string(name) == f.name {
			return text(data, at, f.into)
		}
	}
	return at, errOther
}

// list reads a list of strings.
func list[T ~[]string](data []byte, at int, into *T) (end int, err error) {
	if token(data, at) != '[' {
		return at, errOther
	}
	*into = T{}
	if at = space(data, at+1); token(data, at) == ']' {
		return at + 1, nil
	}
	for {
		var element string
		if at, err = text(data, at, &element); err != nil {
			return at, err
		}
		*into = append(*into, element)
		switch at = space(data, at); token(data, at) {
		case ']':
			return at + 1, nil
		case ',':
			at = space(data, at+1)
		default:
			return at, errOther
		}
	}
}

// text reads a string of ASCII without an escape.
func text[T ~string](data []byte, at int, into *T) (end int, err error) {
	if token(data, at) != '"' {
		return at, errOther
	}
	for end = at + 1; end < len(data); end++ {
		switch c := data[end]; {
		case c == '"':
			*into = T(data[at+1 : end])
			return end + 1, nil
		case c == '\\' || c < ' ' || c >= utf8.RuneSelf:
			return at, errOther
		}
	}
	return at, errOther
}

func flag(data []byte, at int, into **bool) (end int, err error) {
	end, err = valueEnd(data, at)
	switch string(data[at:end]) {
	case "true":
		*into = new(true)
	case "false":
		*into = new(false)
	default:
		return at, errOther
	}
	return end, err
}

// count reads a number of digits alone.
func count(data []byte, at int, into **int64) (end int, err error) {
	n := int64(0)
	for end = at; end < len(data) && data[end] >= '0' && data[end] <= '9'; end++ {
		n = n*10 + int64(data[end]-'0')
	}
	const most = 18 // digits that fit surely
	if digits := end - at; digits == 0 || digits > most || digits > 1 && data[at] == '0' {
		return at, errOther
	}
	*into = &n
	return end, nil
}

// part is a value as it stands, nil for null.
func part(data []byte, at int, into *[]byte) (end int, err error) {
	end, err = valueEnd(data, at)
	if *into = nil; present(data[at:end]) {
		*into = data[at:end]
	}
	return end, err
}

// skipped passes over a member that does not matter.
func skipped(data, name []byte, at int) (end int, err error) {
	if bytes.IndexByte(name, '\\') >= 0 { // it may yet matter
		return at, errOther
	}
	return valueEnd(data, at)
}
