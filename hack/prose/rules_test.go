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

// Package prose_test keeps comments, messages and documents in plain English: it searches the
// tree for constructions that make readers stop, and for names that say nothing.
package prose_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rule bans one construction. In pattern and unless, a space matches any white space, also
// between lines.
type rule struct {
	name    string
	pattern string
	unless  string // what pattern finds passes if this matches it
	reason  string
	instead string
	// bad is a sentence that the rule catches, good says the same and passes all rules.
	bad, good string
}

var rules = []rule{
	{
		name:    "save that",
		pattern: `\b[Ss]ave (that|for)\b`,
		reason:  "archaic, and reads as the verb",
		instead: "except that, except for",
		bad:     "The slices stay as they are, save that an address goes which is refused now.",
		good:    "The slices stay as they are, except that newly refused addresses are removed.",
	},
	{
		name:    "but for",
		pattern: `\b[Bb]ut for (an?|the|its|their|one|two|those|what|[a-z]+[^s]s)\b`,
		reason:  "reads as a contrast until the sentence ends",
		instead: "except, except for",
		bad:     "The query is sent, but for the two parameters below.",
		good:    "The query is sent, except for the two parameters below.",
	},
	{
		name:    "has not",
		pattern: `\b([Hh]as|[Hh]ave|[Hh]ad) not(\s*[.,;:)|]|\s*\z)`,
		reason:  "the reader waits for a participle",
		instead: "lacks, does not have",
		bad:     "kube-proxy ignores those of a family that the Service has not.",
		good:    "kube-proxy ignores endpoints of a family that the Service lacks.",
	},
	{
		name:    "tells whether",
		pattern: `\btells (whether|which|what|when|where|how|why|of|that)\b`,
		reason:  "functions report and messages say; only people tell",
		instead: "reports whether, says which, reports",
		bad:     "due tells whether a probe is late.",
		good:    "due reports whether a probe is late.",
	},
	{
		name:    "is told",
		pattern: `\b(is|are|was|were|be|been|being|gets?|got) told\b`,
		reason:  "hides who does what to whom",
		instead: "the sender and a verb: X notifies Y, Y receives, Y learns of",
		bad:     "The owner is told of the change.",
		good:    "The scheduler notifies the owner of the change.",
	},
	{
		name:    "who as a noun",
		pattern: `((^|[.:;*] |\n\n)Who|(^|[.,:;] |\b(and|but|that|for|to|of|from|by) )(who asked|whoever|whomever)) [a-z]|\b[Ww]ho(so)?ever\b`,
		reason:  "a pronoun without a noun",
		instead: "anyone who, the caller, the owner",
		bad:     "Who may write ExternalServices may send a Service's traffic anywhere.",
		good:    "Anyone who can write ExternalServices can redirect a Service's traffic.",
	},
	{
		name:    "taken for",
		pattern: `\b([Tt]ake|[Tt]akes|[Tt]aken|[Tt]aking|[Tt]ook)( \S+){0,6}? for (granted|healthy|unhealthy|dead|alive|lost|one|its own|our own)\b|\btaken for\b`,
		reason:  "reads as taken away",
		instead: "treats as, assumes to be",
		bad:     "Argo CD takes kinds that it does not know for healthy.",
		good:    "Argo CD treats unknown kinds as healthy.",
	},
	{
		name:    "passes over",
		pattern: `\b([Pp]ass|[Pp]asses|[Pp]assed|[Pp]assing) over\b`,
		reason:  "reads as travel",
		instead: "ignores, skips",
		bad:     "kube-proxy passes over such endpoints.",
		good:    "kube-proxy ignores such endpoints.",
	},
	{
		name:    "in the end",
		pattern: `\b[Ii]n the end\b`,
		reason:  "a hedge",
		instead: "eventually, finally, or nothing",
		bad:     "MySQL would block the host in the end.",
		good:    "MySQL would eventually block the host.",
	},
	{
		name:    "all the same",
		pattern: `\ball the same\b`,
		reason:  "means both anyway and identical",
		instead: "anyway, nevertheless; equal",
		bad:     "The standby is probed all the same.",
		good:    "The standby is probed anyway.",
	},
	{
		name:    "what a thing says",
		pattern: `\b[Ww]hat (it|they|that|this|these|those|(an?|the|its|their|each|every) \S+|[a-z]+s) (says?|said|tells?)\b|\b[Ww]hat (is|was) (said|told)\b`,
		unless:  ` (messages?|conditions?|errors?|logs?|docs|documentation|guide|comments?|Events?|runbook|names?|terms?) \S+$`,
		reason:  "things do not speak",
		instead: "the name of the content: the status, the spec, the header, the response",
		bad:     "What an endpoint does not say is taken from ports, and what that says is true.",
		good:    "Ports default to spec.ports.",
	},
	{
		name:    "stands in",
		pattern: `\b(stands?|Stands?|stood|Stood) (in|at|there|here|beside|under|above|below)\b( for)?`,
		unless:  ` for$`,
		reason:  "things are somewhere, or somebody sets them; they do not stand",
		instead: "is in, is set in, has, holds",
		bad:     "The time stands in an annotation.",
		good:    "An annotation holds the time.",
	},
	{
		name:    "mend",
		pattern: `\b[Mm]end(s|ed|ing)?\b`,
		reason:  "software is not clothes",
		instead: "fix, repair, restore",
		bad:     "The operator mends the slice.",
		good:    "The operator restores the slice.",
	},
	{
		name:    "anew",
		pattern: `\banew\b`,
		reason:  "archaic",
		instead: "again, from the start",
		bad:     "The grace time begins anew.",
		good:    "The grace time starts again.",
	},
	{
		name:    "speaks of",
		pattern: `\b([Ss]peak|[Ss]peaks|[Ss]poke|[Ss]poken) of\b|\b[Hh]ears? of\b|\b[Hh]eard of\b`,
		reason:  "things do not speak or hear",
		instead: "describes, mentions, refers to; learns of",
		bad:     "The README speaks of every field, and the scheduler hears of changes.",
		good:    "The README describes every field, and the scheduler learns of changes.",
	},
	{
		name:    "trailing else",
		pattern: `\b(others|[a-z]+[^s\W]s|it|them) else[.,;)]|, else (it|the|a|an|as|by|at|nothing|none|[0-9.]+)\b`,
		reason:  "an inverted condition: the reader has to go back",
		instead: "otherwise, at the start of its clause",
		bad:     "Clients use their own zone while they can, and all others else. It is 5 s, else the default.",
		good:    "Clients use their own zone while they can, and otherwise all others.",
	},
	{
		name:    "those not",
		pattern: `\b[Tt]hose not [a-z]+ed\b|\b[Tt]hose that are not( \S+){1,6} and (are )?[a-z]+ed\b`,
		reason:  "a double negation without a noun",
		instead: "the noun, and a positive verb",
		bad:     "Those not counted that are not healthy and published all the time.",
		good:    "Endpoints published by fail-open do not count.",
	},
	{
		name:    "retries none",
		pattern: `\b(retries|weighs|weights) (none|nothing)\b|\b[Ii]t is asked once\b|\b[Ww]hat survives is\b`,
		reason:  "negated by its object",
		instead: "does not, neither … nor",
		bad:     "It retries none and weighs none, and adds no hop.",
		good:    "It adds no hop, and neither retries nor weights requests.",
	},
}

var compiled = map[string]*regexp.Regexp{}

func compile(pattern string) *regexp.Regexp {
	if compiled[pattern] == nil {
		compiled[pattern] = regexp.MustCompile(strings.ReplaceAll(pattern, " ", `\s+`))
	}
	return compiled[pattern]
}

// find returns where text breaks the rule.
func (r rule) find(text string) [][]int {
	all := compile(r.pattern).FindAllStringIndex(text, -1)
	if r.unless == "" {
		return all
	}
	unless := compile(r.unless)
	return slices.DeleteFunc(all, func(at []int) bool { return unless.MatchString(text[at[0]:at[1]]) })
}

func TestRules_CatchTheirBadExample_AndPassTheGoodOne(t *testing.T) {
	for _, r := range rules {
		if len(r.find(r.bad)) == 0 {
			t.Errorf("%q passes %q", r.name, r.bad)
		}
		if wrapped := strings.ReplaceAll(r.bad, " ", "\n"); len(r.find(wrapped)) == 0 {
			t.Errorf("%q passes its example when it is wrapped", r.name)
		}
		for _, other := range rules {
			if len(other.find(r.good)) > 0 {
				t.Errorf("%q catches the good example of %q", other.name, r.name)
			}
		}
		if r.reason == "" || r.instead == "" {
			t.Errorf("%q has no reason or no better wording", r.name)
		}
	}
}

func TestRules_PlainSentences_Pass(t *testing.T) {
	for _, sentence := range []string{
		"Nobody can tell whether the write arrived.",
		"The slices have not changed, and none has been deleted.",
		"It saves that state, and saves memory for others.",
		"An empty list means that nothing else is allowed. If there is one, it counts; else if not, nothing does.",
		"In the endpoints' order; all of the same kind.",
		"This stands for an address. Say what is wrong, where, and what to write instead.",
		"Tests wait, but for as long as they need.",
		"Roles for people who can write policies.",
		"The standby replica recommends an amendment.",
	} {
		for _, r := range rules {
			if at := r.find(sentence); len(at) > 0 {
				t.Errorf("%q catches %q in %q", r.name, sentence[at[0][0]:at[0][1]], sentence)
			}
		}
	}
}
