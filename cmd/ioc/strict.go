package main

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxConfigBytes bounds a configuration file; ours are a few hundred bytes.
const maxConfigBytes = 1 << 20

// decodeStrict reads YAML into the struct that into points to. Unlike the
// library's own strict mode it goes on after a fault, so that all of them are
// told at once: each error begins with line:column and names the whole key.
func decodeStrict(text []byte, into any) (faults []error) {
	if len(text) > maxConfigBytes {
		return []error{fmt.Errorf("1:1: the file is larger than %d bytes", maxConfigBytes)}
	}
	// The parser is not ours and the file may be anything.
	defer func() {
		if p := recover(); p != nil {
			faults = []error{fmt.Errorf("1:1: not YAML that can be read (%v)", p)}
		}
	}()
	if second := secondDocument(text); second != nil {
		return []error{fmt.Errorf("%d:%d: a second document; one file holds one", second.Position.Line, second.Position.Column)}
	}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		var syntax *yaml.SyntaxError
		if errors.As(err, &syntax) && syntax.Token != nil {
			return []error{fmt.Errorf("%d:%d: %s", syntax.Token.Position.Line, syntax.Token.Position.Column, syntax.Message)}
		}
		return []error{fmt.Errorf("1:1: %v", err)}
	}
	for _, doc := range file.Docs {
		if doc.Body != nil && doc.Body.Type() != ast.NullType && doc.Body.Type() != ast.CommentType && doc.Body.Type() != ast.DirectiveType {
			faults = append(faults, decodeNode(doc.Body, reflect.ValueOf(into).Elem(), "")...)
		}
	}
	return faults
}

// secondDocument finds where a document ends and another begins: the parser drops
// one of two where the other is empty.
func secondDocument(text []byte) *token.Token {
	begun, ended, directive := false, false, 0
	for _, t := range lexer.Tokenize(string(text)) {
		switch {
		case t.Type == token.DirectiveType:
			directive = t.Position.Line
		case t.Type == token.CommentType, t.Position.Line == directive:
		case ended, begun && t.Type == token.DocumentHeaderType:
			return t
		case t.Type == token.DocumentEndType:
			ended = true
		default:
			begun = true
		}
	}
	return nil
}

func decodeNode(node ast.Node, into reflect.Value, key string) []error {
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return []error{at(node, key, "anchors, aliases and tags are not read")}
	}
	switch into.Kind() {
	case reflect.Struct, reflect.Map:
		return decodeKeys(node, into, key)
	case reflect.String:
		switch node.(type) {
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
			into.SetString(node.GetToken().Value) // as it is written: 012 is no number to us
			return nil
		}
		fallthrough
	default:
		if err := yaml.NodeToValue(node, into.Addr().Interface()); err != nil {
			return []error{at(node, key, fmt.Sprintf("wants %s", inWords(into.Type())))}
		}
		return nil
	}
}

// decodeKeys reads a mapping into a struct, or into a map whose keys are free.
func decodeKeys(node ast.Node, into reflect.Value, key string) []error {
	var entries []*ast.MappingValueNode
	switch n := node.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	case *ast.NullNode:
		return nil
	default:
		return []error{at(node, key, "wants keys below it")}
	}
	var faults []error
	for _, entry := range entries {
		name := entry.Key.GetToken().Value
		whole := name
		if key != "" {
			whole = key + "." + name
		}
		if into.Kind() == reflect.Map {
			value := reflect.New(into.Type().Elem()).Elem()
			faults = append(faults, decodeNode(entry.Value, value, whole)...)
			if into.IsNil() {
				into.Set(reflect.MakeMap(into.Type()))
			}
			into.SetMapIndex(reflect.ValueOf(name), value)
			continue
		}
		field, ok := fieldOf(into, name)
		if !ok {
			faults = append(faults, at(entry.Key, whole, "is not a key of the configuration"))
			continue
		}
		faults = append(faults, decodeNode(entry.Value, field, whole)...)
	}
	return faults
}

// fieldOf finds the struct field whose yaml tag is name.
func fieldOf(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" && tag == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func inWords(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	default:
		return "text"
	}
}

func at(node ast.Node, key, what string) error {
	line, column := 1, 1
	if t := node.GetToken(); t != nil && t.Position != nil {
		line, column = t.Position.Line, t.Position.Column
	}
	if key != "" {
		what = key + ": " + what
	}
	return fmt.Errorf("%d:%d: %s", line, column, what)
}
