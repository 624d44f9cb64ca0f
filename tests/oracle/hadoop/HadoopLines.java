// Lines of splits, read by Hadoop's own KeyValueLineRecordReader and LineRecordReader; and TeraGen's records.
// usage: HadoopLines lines CASES | HadoopLines splits SIZE BLOCK MIN MAX | HadoopLines tera START COUNT FILE
import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.TaskAttemptID;
import org.apache.hadoop.mapreduce.lib.input.*;
import org.apache.hadoop.mapreduce.task.TaskAttemptContextImpl;

public class HadoopLines {
  static void hex(StringBuilder out, byte[] bytes, int from, int to) {
    for (int i = from; i < to; i++) out.append(String.format("%02x", bytes[i]));
  }

  static byte[] unhex(String text) {
    byte[] bytes = new byte[text.length() / 2];
    for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) Integer.parseInt(text.substring(2 * i, 2 * i + 2), 16);
    return bytes;
  }

  static void lines(String cases) throws Exception {
    int number = 0;
    PrintStream out = new PrintStream(new BufferedOutputStream(new FileOutputStream(FileDescriptor.out)), false);
    for (String line : Files.readAllLines(Paths.get(cases))) {
      String[] c = line.split(" ");
      Configuration conf = new Configuration(false);
      conf.set("fs.file.impl", "org.apache.hadoop.fs.RawLocalFileSystem");
      FileSplit split = new FileSplit(new Path(c[0]), Long.parseLong(c[1]), Long.parseLong(c[2]), new String[0]);
      LineRecordReader reader = new LineRecordReader(c[3].equals("-") ? null : unhex(c[3]));
      reader.initialize(split, new TaskAttemptContextImpl(conf, new TaskAttemptID()));
      out.println("case " + number++);
      Text key = new Text(), value = new Text();
      while (reader.nextKeyValue()) {
        Text text = reader.getCurrentValue();
        int at = KeyValueLineRecordReader.findSeparator(text.getBytes(), 0, text.getLength(), (byte) '\t');
        KeyValueLineRecordReader.setKeyValue(key, value, text.getBytes(), text.getLength(), at);
        StringBuilder row = new StringBuilder().append(reader.getCurrentKey().get()).append(' ');
        hex(row, key.getBytes(), 0, key.getLength());
        row.append(' ');
        hex(row, value.getBytes(), 0, value.getLength());
        out.println(row);
      }
      reader.close();
    }
    out.flush();
  }

  public static void main(String[] args) throws Exception {
    lines(args[0]);
  }
}
