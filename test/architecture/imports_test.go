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

// Package architecture_test holds the borders between packages, of which CONTRIBUTING.md and the
// packages' descriptions say what they are for.
package architecture_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "farpoint.dev/farpoint/"

// arrows are the packages of this module that each package below controllers imports. The same
// arrows are in .golangci.yml, where depguard checks them while somebody writes.
var arrows = map[string][]string{
	"controllers/alerting":     {"api/v1"},
	"controllers/apiserver":    {},
	"controllers/availability": {"api/v1", "controllers/endpoint", "controllers/phrase", "controllers/slicestate", "probes", "probes/health"},
	"controllers/conflicts":    {"api/v1", "controllers/endpoint", "controllers/ownership", "controllers/phrase"},
	"controllers/endpoint":     {"api/v1", "probes", "probes/health", "probes/resolver"},
	"controllers/ownership":    {"api/v1"},
	"controllers/phrase":       {},
	"controllers/policy":       {"api/v1", "controllers/endpoint", "probes/egress", "probes/protocol", "probes/scheduler", "probes/transport"},
	"controllers/references":   {"api/v1", "controllers/apiserver", "controllers/targets", "probes/protocol"},
	"controllers/report":       {"api/v1", "controllers/availability", "controllers/conflicts", "controllers/endpoint", "controllers/ownership", "controllers/phrase", "controllers/sliceplan", "controllers/targets", "probes", "probes/health"},
	"controllers/sliceplan":    {"api/v1", "controllers/endpoint", "controllers/ownership", "controllers/phrase", "controllers/slicestate"},
	"controllers/slicestate":   {"api/v1", "controllers/endpoint", "controllers/phrase", "probes/health"},
	"controllers/targets":      {"api/v1", "controllers/endpoint", "controllers/phrase", "controllers/policy", "controllers/slicestate", "probes", "probes/egress", "probes/health", "probes/protocol", "probes/resolver", "probes/scheduler", "probes/transport"},
	"controllers/telemetry":    {"api/v1", "probes", "probes/scheduler"},
	"controllers/tenancy":      {"api/v1", "controllers/apiserver", "controllers/endpoint", "controllers/ownership", "controllers/policy", "probes", "probes/egress", "probes/transport"},
}

// pure packages decide and do nothing else.
var pure = []string{
	"controllers/availability", "controllers/conflicts", "controllers/endpoint", "controllers/ownership", "controllers/phrase", "controllers/policy",
	"controllers/report", "controllers/sliceplan", "controllers/slicestate", "controllers/targets",
}

// listed is what go list says of a package.
type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports, Deps   []string
}

func list(t *testing.T, patterns ...string) map[string]listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,Imports,Deps"}, patterns...)...)
	command.Dir = filepath.Join("..", "..")
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]listed{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var one listed
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[strings.TrimPrefix(one.ImportPath, module)] = one
	}
}

func TestImports_BelowControllers_AreTheArrowsOfTheDesign(t *testing.T) {
	for name, pkg := range list(t, "./controllers/...") {
		if name == "controllers" {
			continue
		}
		want, known := arrows[name]
		if !known {
			t.Errorf("%s is not in the table: say what it may import", name)
		}
		var own []string
		for _, imported := range pkg.Imports {
			if rest, ours := strings.CutPrefix(imported, module); ours {
				own = append(own, rest)
			}
		}
		slices.Sort(own)
		if !slices.Equal(own, want) {
			t.Errorf("%s imports %v, want %v", name, own, want)
		}
	}
}

func TestImports_PurePackages_ReachNoClient(t *testing.T) {
	packages := list(t, "./controllers/...")
	for _, name := range pure {
		for _, dependency := range packages[name].Deps {
			if strings.HasPrefix(dependency, "k8s.io/client-go") || strings.HasPrefix(dependency, "sigs.k8s.io/controller-runtime") {
				t.Errorf("%s depends on %s", name, dependency)
			}
		}
		for _, imported := range packages[name].Imports {
			switch {
			case imported == "context", imported == "log", imported == "log/slog", imported == "net/http",
				strings.HasPrefix(imported, "github.com/go-logr/"), strings.HasPrefix(imported, "k8s.io/klog"), strings.HasPrefix(imported, "k8s.io/utils/clock"):
				t.Errorf("%s imports %s", name, imported)
			}
		}
	}
}

func TestPurePackages_AskNoClock(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}
	packages := list(t, "./controllers/...")
	for _, name := range pure {
		for _, file := range packages[name].GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(packages[name].Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				if selector, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clock, selector.Sel.Name) {
					if of, ok := selector.X.(*ast.Ident); ok && of.Name == "time" {
						t.Errorf("%s/%s calls time.%s", name, file, selector.Sel.Name)
					}
				}
				return true
			})
		}
	}
}
