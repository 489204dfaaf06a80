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
	"fmt"
	"strings"
	"unicode/utf8"
)

// style is how a piece of text looks on a terminal: an SGR parameter, or "".
type style string

const (
	plain style = ""
	bold  style = "1"
	dim   style = "2"
	good  style = "32"
	bad   style = "31"
)

// span is a piece of text in one style.
type span struct {
	text string
	style
}

// line is one line of the screen.
type line []span

func plainLine(text string) line { return line{{text: text}} }

// cut shortens the line to a number of characters.
func (l line) cut(width int) line {
	var kept line
	for _, piece := range l {
		if length := utf8.RuneCountInString(piece.text); length <= width {
			kept = append(kept, piece)
			width -= length
			continue
		}
		piece.text = string([]rune(piece.text)[:width])
		return append(kept, piece)
	}
	return kept
}

// ansi is the line with escape codes.
func (l line) ansi() string {
	var text strings.Builder
	for _, piece := range l {
		if piece.style == plain {
			text.WriteString(piece.text)
		} else {
			fmt.Fprintf(&text, "\x1b[%sm%s\x1b[0m", piece.style, piece.text)
		}
	}
	return text.String()
}

// row is what is shown of an endpoint.
type row struct {
	address, zone string
	// up tells whether the demo has its backend running.
	up bool
	// published is what the slices say; absent means that none has the endpoint.
	published conditions
	absent    bool
	health    string
}

// view is all that the live part of the screen shows.
type view struct {
	scene  string
	rows   []row
	listed listing
	// news are the last changes, the newest one at the end.
	news []string
}

// lines lays the view out for a terminal of a size. There is room for some news; if the
// terminal is low, for fewer.
func (v view) lines(width, height int) []line {
	const longest = 10
	lines := []line{{{"NOW  ", bold}, {v.scene, plain}}, nil}
	lines = append(lines, table(v.grid())...)
	lines = append(lines, nil, line{{"$ kubectl get extsvc", bold}})
	if len(v.listed.heads) == 0 {
		lines = append(lines, plainLine(fmt.Sprintf("No resources found in %s namespace.", namespace)))
	} else {
		lines = append(lines, table([]line{plainCells(v.listed.heads), plainCells(v.listed.cells)})...)
	}
	lines = append(lines, nil, line{{"LATELY", bold}, {"  (scroll up for commands to try; Ctrl-C ends the demo)", dim}})
	news := v.news
	room := min(max(height-1-len(lines), 0), longest)
	news = news[max(len(news)-room, 0):]
	for _, each := range news {
		lines = append(lines, plainLine(each))
	}
	lines = lines[:min(len(lines), max(height-1, 1))]
	for i := range lines {
		lines[i] = lines[i].cut(width - 1)
	}
	return lines
}

// grid has a cell of each line of the table in each span.
func (v view) grid() []line {
	head := line{}
	for _, text := range []string{"ADDRESS", "ZONE", "BACKEND", "READY", "SERVING", "TERMINATING", "HEALTH"} {
		head = append(head, span{text, bold})
	}
	grid := []line{head}
	for _, r := range v.rows {
		backend := span{"up", good}
		if !r.up {
			backend = span{"down", bad}
		}
		ready, serving, terminating := span{"-", dim}, span{"-", dim}, span{"-", dim}
		if !r.absent {
			ready, serving = verdict(r.published.ready), verdict(r.published.serving)
			terminating = span{text: r.published.terminating}
		}
		grid = append(grid, line{{text: r.address}, {text: r.zone}, backend, ready, serving, terminating, {text: r.health}})
	}
	return grid
}

func verdict(text string) span {
	if text == "true" {
		return span{text, good}
	}
	return span{text, bad}
}

func plainCells(cells []string) line {
	made := make(line, len(cells))
	for i, text := range cells {
		made[i].text = text
	}
	return made
}

// table pads the cells so that they stand in columns.
func table(grid []line) []line {
	const gap = 2
	var widths []int
	for _, cells := range grid {
		for i, cell := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell.text))
		}
	}
	lines := make([]line, len(grid))
	for at, cells := range grid {
		for i, cell := range cells {
			lines[at] = append(lines[at], cell)
			if i < len(cells)-1 {
				padding := widths[i] - utf8.RuneCountInString(cell.text) + gap
				lines[at] = append(lines[at], span{text: strings.Repeat(" ", padding)})
			}
		}
	}
	return lines
}
