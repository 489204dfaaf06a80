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
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"farpoint.dev/farpoint/controllers/alerting"
)

// overlayOfGuide builds the overlay in the guide of a folder of this repository.
func overlayOfGuide(t *testing.T, of string) string {
	t.Helper()
	guide, err := os.ReadFile("../docs/user-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	remote := regexp.MustCompile(`https://git\.example\.com/platform/farpoint//` + of + `\S*`)
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(guide, -1) {
		if !remote.Match(block[1]) {
			continue
		}
		folder := t.TempDir()
		if err := os.CopyFS(filepath.Join(folder, "config"), os.DirFS("../config")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), remote.ReplaceAll(block[1], []byte(of)), 0o600); err != nil {
			t.Fatal(err)
		}
		return string(runProgram(t, nil, "kubectl", "kustomize", folder))
	}
	t.Fatalf("the guide has no overlay of %s", of)
	return ""
}

func TestOverlay_Installation(t *testing.T) {
	built := overlayOfGuide(t, "config/default")
	for _, want := range []string{
		"        - --leader-elect\n        - --denied-cidrs=10.96.0.0/12\n",
		"        image: registry.example.com/farpoint:dev\n",
	} {
		if !strings.Contains(built, want) {
			t.Errorf("no %q in\n%s", want, built)
		}
	}
}

func TestOverlay_Prometheus_SetsRunbookURLs(t *testing.T) {
	built := overlayOfGuide(t, "config/prometheus")
	_, alerts := rules(t)
	for name := range alerts {
		link := alerting.Name(name).RunbookEntry("runbook_url: https://git.example.com/platform/farpoint/blob/main/docs/runbook.md") + "\n"
		if strings.Count(built, link) != 1 {
			t.Errorf("%s: no %s in\n%s", name, link, built)
		}
	}
	if strings.Contains(built, "kind: ConfigMap") {
		t.Error("what only the overlay needs would be applied")
	}
}
