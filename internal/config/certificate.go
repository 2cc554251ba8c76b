package config

import (
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Where the webhook's serving certificate may come from.
const (
	// SelfManaged has the webhook sign it, with a CA that it keeps in a Secret.
	SelfManaged = "SelfManaged"
	// CertManager has cert-manager write it to files and the CA to the configurations.
	CertManager = "CertManager"
	// Files has somebody else write it, and the CA, to files.
	Files = "Files"
)

// Certificate is the webhook's serving certificate. Files are read again when they change.
type Certificate struct {
	// Mode is SelfManaged (the default), CertManager or Files.
	Mode string `json:"mode"`
	// CertFile and KeyFile hold the certificate with its intermediates, and its key, as PEM.
	CertFile string `json:"certFile,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	// CAFile holds the CAs of the certificate as PEM, for mode Files.
	CAFile string `json:"caFile,omitempty"`
	// InjectCAFrom is the Certificate as NAMESPACE/NAME whose CA cert-manager puts into the
	// webhook configurations, for mode CertManager.
	InjectCAFrom string `json:"injectCAFrom,omitempty"`
}

// ClientCA says whose client certificates are accepted.
type ClientCA struct {
	// File holds the CAs of the API servers' client certificates as PEM. It is read again when
	// it changes.
	File string `json:"file"`
	// Names are the common names that are accepted; empty means every certificate of File.
	Names []string `json:"names,omitempty"`
}

// certificateFields are the fields that a mode reads.
var certificateFields = map[string][]string{
	SelfManaged: nil,
	CertManager: {"certFile", "keyFile", "injectCAFrom"},
	Files:       {"certFile", "keyFile", "caFile"},
}

func (c Certificate) validate(path *field.Path) field.ErrorList {
	fields, known := certificateFields[c.Mode]
	if !known {
		return field.ErrorList{field.NotSupported(path.Child("mode"), c.Mode, []string{SelfManaged, CertManager, Files})}
	}
	var errs field.ErrorList
	for _, f := range []struct {
		name, value, remedy string
		wrong               func(string) bool
	}{
		{"certFile", c.CertFile, "write the absolute path of the certificate, such as /etc/forewarm/certificate/tls.crt", relative},
		{"keyFile", c.KeyFile, "write the absolute path of its key, such as /etc/forewarm/certificate/tls.key", relative},
		{"caFile", c.CAFile, "write the absolute path of its CA, such as /etc/forewarm/certificate/ca.crt", relative},
		{"injectCAFrom", c.InjectCAFrom, "write the Certificate as NAMESPACE/NAME, such as forewarm-system/forewarm-webhook", noObject},
	} {
		read := slices.Contains(fields, f.name)
		switch {
		case read && f.value == "":
			errs = append(errs, field.Required(path.Child(f.name), f.remedy))
		case read && f.wrong(f.value):
			errs = append(errs, field.Invalid(path.Child(f.name), f.value, f.remedy))
		case !read && f.value != "":
			errs = append(errs, field.Invalid(path.Child(f.name), f.value, "remove it: mode "+c.Mode+" does not read it"))
		}
	}
	return errs
}

func relative(path string) bool { return !filepath.IsAbs(path) }

// noObject says whether s is not NAMESPACE/NAME.
func noObject(s string) bool {
	namespace, name, _ := strings.Cut(s, "/")
	return len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0
}

func (c *ClientCA) validate(path *field.Path) field.ErrorList {
	if c != nil && relative(c.File) {
		return field.ErrorList{field.Invalid(path.Child("file"), c.File, "write the absolute path of the CA of the API servers' client certificates")}
	}
	return nil
}
