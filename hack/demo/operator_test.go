/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTail(t *testing.T) {
	for _, c := range []struct {
		text  string
		lines int
		want  string
	}{
		{"", 2, ""},
		{"a", 2, "a"},
		{"a\nb\n", 2, "a\nb"},
		{"a\nb\nc\n", 2, "b\nc"},
		{"a\n\nc\n\n", 2, "\nc"},
	} {
		if got := string(tail([]byte(c.text), c.lines)); got != c.want {
			t.Errorf("tail(%q, %d) = %q; want %q", c.text, c.lines, got, c.want)
		}
	}
}

func TestObituaryHasTheLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "operator.log")
	if err := os.WriteFile(log, []byte("first\nno such API server\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := (&operator{log: log}).obituary()
	if got := err.Error(); !strings.Contains(got, "exit status 0") || !strings.HasSuffix(got, "first\nno such API server") {
		t.Errorf("got %q", got)
	}
}

func TestControlPlaneIsAskedForByName(t *testing.T) {
	t.Setenv("KUBEBUILDER_ASSETS", t.TempDir())
	if _, err := newControlPlane(t.TempDir()); err == nil || !strings.Contains(err.Error(), "make demo") {
		t.Errorf("got %v; want what to do", err)
	}
}
