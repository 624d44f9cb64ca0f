// Records of Hadoop's TeraGen. usage: TeraRecords START COUNT FILE
package org.apache.hadoop.examples.terasort; // its generator is not public

import java.io.*;

public class TeraRecords {
  public static void main(String[] args) throws Exception {
    Unsigned16 row = new Unsigned16(Long.parseLong(args[0]));
    Unsigned16 random = Random16.skipAhead(row), one = new Unsigned16(1);
    byte[] record = new byte[100];
    try (OutputStream out = new BufferedOutputStream(new FileOutputStream(args[2]))) {
      for (long i = 0; i < Long.parseLong(args[1]); i++) {
        Random16.nextRand(random);
        GenSort.generateRecord(record, random, row);
        row.add(one);
        out.write(record);
      }
    }
  }
}
