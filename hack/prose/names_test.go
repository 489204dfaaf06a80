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

package prose_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// bannedNames may not be declared, in any case of their first letter: riddles, participles and
// pronouns, with the name to take instead. Words that the field itself uses for the same thing
// (account, resolve, first, line) are not among them.
var bannedNames = map[string]string{
	// No names at all: they say how a value was obtained, not what it is.
	"made": "what it is", "found": "what it is", "told": "what it is", "each": "what it is", "said": "what it is",
	"wanted": "requested, want", "turn": "slot, transition", "place": "endpointKey, position", "news": "notifications",
	// controllers
	"seeds": "priorState", "liveList": "watchedList", "persistence": "resilientListWatch", "activity": "objectCounters",
	"settle": "markClean, buildPlan, recordResult", "confines": "tenantLimits", "confinement": "policySnapshot",
	"roams": "mayLeaveTarget", "pace": "clampTiming", "few": "sample", "crowd": "maxIndividualEvents",
	"occurrence": "pendingEvent", "toldBefore": "previousStatus", "standing": "tierDecision", "opensAnyhow": "failOpenReason",
	"letsIn": "admitsUnhealthy", "heir": "reusableGroup", "homeless": "unplaced", "doomed": "toDelete", "shed": "ShrinkLast",
	"takeStock": "matchExisting", "top": "fill", "equip": "attachProber", "taken": "claimed", "untaken": "restored",
	"carryOut": "syncSlices", "lookAround": "detectConflicts", "again": "requeueAfter", "probeOn": "keepProbes",
	"silent": "isUnreachable", "absence": "outageThreshold", "precedence": "holderGrace",
	// probes
	"begun": "startedAt", "talk": "exchange", "hop": "request", "bell": "wakePipe", "ring": "wake", "hush": "drainWake",
	"say": "write", "hear": "parseResponse", "asked": "requestSent", "hand": "dispatch", "handOver": "promote", "handRest": "promote",
	"plain": "eventLoopProber", "isPlain": "loopEligible", "laborious": "cpuHeavy", "computing": "cpuLimiter",
	"described": "endpointInfo", "secured": "tlsInfo", "swift": "failedFast", "overtaken": "superseded", "rush": "expedite",
	"acquit": "clearSuspect", "condemns": "WouldMarkDown", "judge": "evaluate", "judgment": "decision", "against": "witnesses",
	"trusted": "applyGuard", "doubted": "pendingVerdicts", "faltering": "failing", "steady": "unaffected", "reachedCounter": "successTimeline",
	"conclude": "flush", "tell": "queueNotify", "untold": "pending", "visit": "namespaceHost", "portion": "namespaceLane",
	"bottleneck": "limitKey", "declare": "ApplySelfReport", "ownWord": "isSelfReported", "fall": "recordDown", "backing": "streak",
	"seeded": "NewHealth", "knock": "checkAccepting", "enter": "login", "goodbye": "closeNotify", "prove": "authResponse", "proof": "authResponse",
	"greeting": "handshakePacket", "blame": "attributeTimeout", "errCrowded": "errCPUQueue", "introduce": "writeProxyHeader",
	"called": "serverName", "connected": "dialHost", "dialled": "dialAddr", "remembered": "stale", "missing": "nxdomainSince",
}

// bannedPrefixes are followed by a capital: mostRedirects.
var bannedPrefixes = map[string]string{"most": "max", "least": "min"}

var bannedFiles = regexp.MustCompile(`^(judge|place|seeds|livelist|persistence|activity|news|(tongue|witness|world|quiet|rights|crossing)_test|(.*_)?strangers_test)\.go$`)

func TestNames(t *testing.T) {
	walk(t, func(file string) {
		if !strings.HasSuffix(file, ".go") {
			return
		}
		if bannedFiles.MatchString(filepath.Base(file)) {
			t.Errorf("%s: name the file after a domain idea", file)
		}
		set, parsed := parse(t, file)
		for _, name := range declarations(parsed) {
			if better := betterName(name.Name); better != "" {
				t.Errorf("%s: %s is no name; better: %s", set.Position(name.Pos()), name.Name, better)
			}
		}
	})
}

// betterName is empty if the name may be declared.
func betterName(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	lower := string(unicode.ToLower(first)) + name[size:]
	if better := bannedNames[lower]; better != "" {
		return better
	}
	for prefix, better := range bannedPrefixes {
		rest, ok := strings.CutPrefix(lower, prefix)
		if next, _ := utf8.DecodeRuneInString(rest); ok && unicode.IsUpper(next) {
			return better + rest
		}
	}
	if better := bannedNames[name]; better != "" { // errCrowded
		return better
	}
	return ""
}

// declarations are the identifiers that a file declares: functions, types, values, fields,
// parameters, and local variables.
func declarations(file *ast.File) []*ast.Ident {
	var all []*ast.Ident
	add := func(expressions ...ast.Expr) {
		for _, expression := range expressions {
			if name, ok := expression.(*ast.Ident); ok {
				all = append(all, name)
			}
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			all = append(all, node.Name)
		case *ast.TypeSpec:
			all = append(all, node.Name)
		case *ast.ValueSpec:
			all = append(all, node.Names...)
		case *ast.Field:
			all = append(all, node.Names...)
		case *ast.LabeledStmt:
			all = append(all, node.Label)
		case *ast.ImportSpec:
			if node.Name != nil {
				all = append(all, node.Name)
			}
		case *ast.AssignStmt:
			if node.Tok == token.DEFINE {
				add(node.Lhs...)
			}
		case *ast.RangeStmt:
			if node.Tok == token.DEFINE {
				add(node.Key, node.Value)
			}
		}
		return true
	})
	return all
}

func TestDeclarations_FindsEveryKind(t *testing.T) {
	const source = `package p
import a "b"
type c[d any] struct { e int }
const f, g = 1, 2
func (h c[d]) i(j int) (k int) {
	l, _ := j, used
	for m, n := range used { _ = func(o int) {} }
q:
	switch r := any(l).(type) { default: _ = r; goto q }
	var s int
	s = used
}`
	parsed, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range declarations(parsed) {
		if name.Name != "_" {
			names = append(names, name.Name)
		}
	}
	slices.Sort(names)
	if got, want := strings.Join(slices.Compact(names), ""), "acdefghijklmnoqrs"; got != want {
		t.Errorf("declarations are %q, want %q", got, want)
	}
}

func TestBetterName(t *testing.T) {
	for name, banned := range map[string]bool{
		"bell": true, "Bell": true, "errCrowded": true, "mostRedirects": true, "LeastInterval": true,
		"bells": false, "mostly": false, "account": false, "resolve": false, "line": false, "foundation": false,
	} {
		if got := betterName(name) != ""; got != banned {
			t.Errorf("%s is banned: %t, want %t", name, got, banned)
		}
	}
}
