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

package controllers

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"k8s.io/apimachinery/pkg/version"
)

type fakeVersion struct {
	version string
	err     error
}

func (f fakeVersion) ServerVersion() (*version.Info, error) {
	return &version.Info{GitVersion: f.version}, f.err
}

func TestServerReport(t *testing.T) {
	for name, test := range map[string]struct {
		server fakeVersion
		want   string
	}{
		"a version": {fakeVersion{version: "v1.36.3"}, `"level"=0 "msg"="Found the API server" "host"="https://10.96.0.1:443" "version"="v1.36.3"`},
		"an error":  {fakeVersion{err: errors.New("timeout")}, `"level"=0 "msg"="Could not read the version of the API server" "host"="https://10.96.0.1:443" "error"="timeout"`},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			log := funcr.New(func(_, line string) { lines = append(lines, line) }, funcr.Options{})
			if err := (serverReport{test.server, "https://10.96.0.1:443", log}).Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(lines, "\n"); got != test.want {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestNamedSource_HasANameInTheLog(t *testing.T) {
	if got := fmt.Sprintf("%s", namedSource{name: "ReferenceGrants"}); got != "func source: ReferenceGrants" { //nolint:staticcheck // as controller-runtime formats it
		t.Errorf("the log shows %q", got)
	}
}
