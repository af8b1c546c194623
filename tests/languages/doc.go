// Package languages builds the images of docs/recipes.md that have packages of a language,
// with the languages' own managers and registries: make long.
package languages
