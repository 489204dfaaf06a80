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

package docs_test

import (
	"encoding/json"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
)

// filesInTree returns the paths of all files below the root that match, without those that
// make builds there.
func filesInTree(t *testing.T, match func(path string) bool) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		path = filepath.ToSlash(path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{"../.git", "../bin", "../dist"}, path):
			return fs.SkipDir
		case !entry.IsDir() && match(path):
			files = append(files, path[len("../"):])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no file matches")
	}
	return files
}

func TestRenovate_EveryGoMod_HasARule(t *testing.T) {
	var config struct {
		IgnorePresets []string `json:"ignorePresets"`
		PackageRules  []struct {
			MatchFileNames []string `json:"matchFileNames"`
		} `json:"packageRules"`
	}
	if err := json.Unmarshal([]byte(read(t, "../.renovaterc.json")), &config); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(config.IgnorePresets, ":ignoreModulesAndTests") {
		t.Error("Renovate would ignore test/: add :ignoreModulesAndTests to ignorePresets")
	}
	modules := filesInTree(t, func(path string) bool { return filepath.Base(path) == "go.mod" })
	named := map[string]bool{}
	for _, rule := range config.PackageRules {
		for _, file := range rule.MatchFileNames {
			named[file] = true
			if !slices.Contains(modules, file) {
				t.Errorf(".renovaterc.json has a rule for %s, which does not exist", file)
			}
		}
	}
	for _, module := range modules {
		if !named[module] {
			t.Errorf(".renovaterc.json has no rule for %s: say in packageRules what is chosen there", module)
		}
	}
}
