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
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

func TestManifestIsTheObject(t *testing.T) {
	object := externalService([]string{"http://127.0.0.1:1/health", "http://127.0.0.1:2/health", "http://[::1]:3/health", "http://[::1]:4/health"})
	text, err := manifest(object)
	if err != nil {
		t.Fatal(err)
	}
	var read farpointv1.ExternalService
	if err := yaml.UnmarshalStrict([]byte(text), &read); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if !reflect.DeepEqual(&read, object) {
		t.Errorf("read back as %+v; want %+v", read, *object)
	}
	for _, noise := range []string{"status", "creationTimestamp", "null"} {
		if strings.Contains(text, noise) {
			t.Errorf("a user would not write %q:\n%s", noise, text)
		}
	}
}
