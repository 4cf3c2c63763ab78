import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.CharArraySet;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.standard.StandardAnalyzer;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.FieldType;
import org.apache.lucene.document.StringField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.TopScoreDocCollectorManager;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.MMapDirectory;

/**
 * Embedded Lucene as a peer of the benchmark: indexes a corpus, or answers questions from its input, one a line.
 *
 * <p>Arguments: index|serve MODE STOPWORDS CORPUS DIR. MODE is stop, keep or english (stop words and stems). The corpus has a line
 * "id TAB text" a document.
 */
public final class Peer {
  private static final int TOP = 200;

  public static void main(String[] args) throws Exception {
    CharArraySet stop = CharArraySet.EMPTY_SET;
    if (!args[1].equals("keep")) {
      stop = new CharArraySet(Arrays.asList(Files.readString(Path.of(args[2])).split("\\s+")), false);
    }
    Analyzer analyzer = args[1].equals("english") ? new EnglishAnalyzer(stop) : new StandardAnalyzer(stop);
    MMapDirectory directory = new MMapDirectory(Path.of(args[4]));
    if (args[0].equals("index")) {
      index(analyzer, directory, Path.of(args[3]));
    } else {
      serve(analyzer, directory);
    }
  }

  private static void index(Analyzer analyzer, MMapDirectory directory, Path corpus) throws Exception {
    IndexWriterConfig config = new IndexWriterConfig(analyzer).setSimilarity(new BM25Similarity(1.2f, 0.75f));
    FieldType text = new FieldType();
    text.setIndexOptions(IndexOptions.DOCS_AND_FREQS);
    text.setStored(true);
    text.setTokenized(true);
    text.freeze();
    try (IndexWriter writer = new IndexWriter(directory, config); BufferedReader lines = Files.newBufferedReader(corpus)) {
      ArrayBlockingQueue<String> queue = new ArrayBlockingQueue<>(1000);
      List<Thread> threads = new ArrayList<>();
      Throwable[] failure = new Throwable[1];
      for (int i = 0; i < Runtime.getRuntime().availableProcessors(); i++) {
        Thread thread = new Thread(() -> {
          try {
            for (String line = queue.take(); !line.isEmpty(); line = queue.take()) {
              int tab = line.indexOf('\t');
              Document document = new Document();
              document.add(new StringField("id", line.substring(0, tab), Field.Store.YES));
              document.add(new Field("text", line.substring(tab + 1), text));
              writer.addDocument(document);
            }
          } catch (Throwable e) {
            failure[0] = e;
          }
        });
        thread.start();
        threads.add(thread);
      }
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        queue.put(line);
      }
      for (Thread thread : threads) {
        queue.put("");
      }
      for (Thread thread : threads) {
        thread.join();
      }
      if (failure[0] != null) {
        throw new IllegalStateException(failure[0]);
      }
      writer.commit();
    }
  }

  private static void serve(Analyzer analyzer, MMapDirectory directory) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    try (DirectoryReader reader = DirectoryReader.open(directory)) {
      IndexSearcher searcher = new IndexSearcher(reader);
      searcher.setSimilarity(new BM25Similarity(1.2f, 0.75f));
      // Needle keeps no results of earlier questions either.
      searcher.setQueryCache(null);
      for (String question = in.readLine(); question != null; question = in.readLine()) {
        long start = System.nanoTime();
        BooleanQuery.Builder query = new BooleanQuery.Builder();
        try (TokenStream tokens = analyzer.tokenStream("text", question)) {
          CharTermAttribute term = tokens.addAttribute(CharTermAttribute.class);
          tokens.reset();
          while (tokens.incrementToken()) {
            query.add(new TermQuery(new Term("text", term.toString())), BooleanClause.Occur.SHOULD);
          }
          tokens.end();
        }
        ScoreDoc[] hits = searcher.search(query.build(), new TopScoreDocCollectorManager(TOP, null, TOP, false)).scoreDocs;
        String[] texts = new String[hits.length];
        StringBuilder ids = new StringBuilder();
        for (int i = 0; i < hits.length; i++) {
          Document document = searcher.storedFields().document(hits[i].doc);
          texts[i] = document.get("text");
          ids.append(' ').append(document.get("id"));
        }
        long took = System.nanoTime() - start;
        out.println(took + ids.toString());
        out.flush();
      }
    }
  }
}
