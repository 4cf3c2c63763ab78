package models

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// hfModule is an entry of modules.json, which sentence-transformers writes.
type hfModule struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

// hfPooling is the config.json of a pooling module.
type hfPooling struct {
	CLS      bool `json:"pooling_mode_cls_token"`
	Mean     bool `json:"pooling_mode_mean_tokens"`
	Max      bool `json:"pooling_mode_max_tokens"`
	SqrtMean bool `json:"pooling_mode_mean_sqrt_len_tokens"`
	Weighted bool `json:"pooling_mode_weightedmean_tokens"`
	Last     bool `json:"pooling_mode_lasttoken"`
}

// embeddingHead reads the pooling that sentence-transformers noted. A plain
// encoder without such a note is pooled by mean.
func (r *hfReader) embeddingHead() (HeadSpec, error) {
	hidden, err := r.output(HeadEmbedding, OutputHidden, 3)
	if err != nil {
		return HeadSpec{}, err
	}
	r.manifest.Outputs = []string{OutputHidden}
	if width := hiddenWidth(hidden); r.manifest.HiddenSize == 0 && width > 0 {
		r.manifest.HiddenSize = width
	}
	directory := "1_Pooling"
	var modules []hfModule
	noted, err := r.json(hfModulesName, &modules)
	if err != nil {
		return HeadSpec{}, err
	}
	if noted {
		directory = ""
	}
	for _, m := range modules {
		switch kind := m.Type[strings.LastIndexByte(m.Type, '.')+1:]; kind {
		case "Transformer", "Normalize": // embeddings always have length 1
		case "Pooling":
			directory = m.Path
		default:
			return HeadSpec{}, fmt.Errorf("%s has the module %s; only Transformer, Pooling and Normalize can be read", hfModulesName, m.Type)
		}
	}
	pooling := "mean"
	if directory != "" {
		var config hfPooling
		name := path.Join(directory, "config.json")
		found, err := r.json(name, &config)
		switch {
		case err != nil:
			return HeadSpec{}, err
		case !found && noted:
			return HeadSpec{}, fmt.Errorf("%s is missing, which %s names", name, hfModulesName)
		case !found:
		case config.Max || config.SqrtMean || config.Weighted || config.Last || config.CLS == config.Mean:
			return HeadSpec{}, fmt.Errorf("%s: exactly one of pooling_mode_cls_token and pooling_mode_mean_tokens must be set, and no other mode", name)
		case config.CLS:
			pooling = "cls"
		}
	}
	options, err := json.Marshal(map[string]string{"pooling": pooling})
	return HeadSpec{Kind: HeadEmbedding, Options: options}, err
}

func hiddenWidth(o graphOutput) int {
	if len(o.shape) != 3 || o.shape[2] < 0 || o.shape[2] > 1<<20 {
		return 0
	}
	return int(o.shape[2])
}

// padsPositions are the architectures that count positions from the padding id
// on, so that they have that many fewer.
var padsPositions = []string{"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "data2vec-text", "ibert", "xmod"}

// maxLength is the smallest of the lengths that the files name: what the model
// has positions for, and what it was trained with.
func (r *hfReader) maxLength() error {
	length := float64(r.config.MaxPositions)
	if slices.Contains(padsPositions, r.config.ModelType) {
		pad := 1
		if r.config.PadTokenID != nil {
			pad = *r.config.PadTokenID
		}
		length -= float64(pad + 1)
	}
	// "No limit" is written as 1e30.
	var tokenizer struct {
		Length float64 `json:"model_max_length"`
	}
	if _, err := r.json(hfTokenizerConf, &tokenizer); err != nil {
		return err
	}
	var sentence struct {
		Length float64 `json:"max_seq_length"`
	}
	if _, err := r.json(hfSentenceConf, &sentence); err != nil {
		return err
	}
	for _, n := range []float64{tokenizer.Length, sentence.Length} {
		if n > 0 && (length <= 0 || n < length) {
			length = n
		}
	}
	if length < 8 || length > 1<<20 {
		return fmt.Errorf("%s and %s do not say how many tokens the model takes (max_position_embeddings, model_max_length)", hfConfigName, hfTokenizerConf)
	}
	r.manifest.MaxLength = int(length)
	return nil
}

// describe fills in what does not belong to the identity of the bundle: a name,
// and licence and languages from the head of the model card. A model card that
// cannot be read is no fault.
func (r *hfReader) describe() {
	m := &r.manifest
	m.Name = cmp.Or(r.config.ModelType, "encoder") + "-" + m.Heads[0].Kind
	m.Origin = map[string]string{"layout": "Hugging Face"}
	if len(r.config.Architectures) > 0 {
		m.Origin["architectures"] = strings.Join(r.config.Architectures, ", ")
	}
	f, err := r.files.Open(hfCardName)
	if err != nil {
		return
	}
	defer f.Close()
	card := readCard(f)
	m.Languages = card["language"]
	m.License = strings.Join(card["license"], ", ")
	for key, name := range map[string]string{"base_model": "base_model", "datasets": "training_data"} {
		if values := card[key]; len(values) > 0 {
			m.Origin[name] = strings.Join(values, ", ")
		}
	}
}

// readCard reads the simple keys of the YAML front matter of a model card: a
// value, a list in brackets, or a list of lines that start with a dash.
func readCard(card io.Reader) map[string][]string {
	lines := bufio.NewScanner(io.LimitReader(card, 1<<20))
	values := make(map[string][]string)
	if !lines.Scan() || strings.TrimSpace(lines.Text()) != "---" {
		return values
	}
	key := ""
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), " \t\r")
		if line == "---" {
			return values
		}
		if item, ok := strings.CutPrefix(strings.TrimLeft(line, " "), "- "); ok {
			if item = unquote(item); key != "" && item != "" && !strings.Contains(item, ": ") {
				values[key] = append(values[key], item)
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " #") {
			key = ""
			continue
		}
		key = name
		value = strings.TrimSpace(value)
		list, isList := strings.CutPrefix(value, "[")
		if !isList {
			if value = unquote(value); value != "" {
				values[key] = []string{value}
			}
			continue
		}
		for item := range strings.SplitSeq(strings.TrimSuffix(list, "]"), ",") {
			if item = unquote(item); item != "" {
				values[key] = append(values[key], item)
			}
		}
	}
	return map[string][]string{} // front matter that does not end is none
}

func unquote(text string) string { return strings.Trim(strings.TrimSpace(text), `"'`) }
