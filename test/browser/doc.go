// Package browser looks at the console as a person does: in a real browser, on a real control plane.
package browser
