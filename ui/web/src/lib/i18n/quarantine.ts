// The part of the dictionary that comes with the page of what was set aside.

type Both = readonly [vi: string, en: string];

export const words = {
  lead: [
    'Dữ liệu đã gửi đến nhưng không lưu được thành số liệu quan trắc, mới nhất ở trên. Máy chủ đã xác nhận nên thiết bị không gửi lại; xem lý do, rồi chỉnh đồng hồ, định dạng hoặc cấu hình tại nơi gửi.',
    'What came in and could not be stored as observations, newest first. It was acknowledged, so it is not sent again: see the reason, then correct the clock, format or configuration where it was sent.',
  ],
  empty: ['Không có dữ liệu nào bị giữ lại', 'Nothing is in quarantine'],
  emptyText: ['Mọi bản tin còn trong nhật ký của máy chủ đều đã được lưu.', 'Every message that the log still holds was stored.'],
  emptyFilter: ['Không có dữ liệu bị giữ lại nào khớp bộ lọc', 'Nothing in quarantine matches the filter'],
  reason: ['Lý do', 'Reason'],
  anyReason: ['Mọi lý do', 'Any reason'],
  source: ['Nơi gửi', 'Source'],
  sourceHint: ['một phần mã thiết bị hoặc chủ đề', 'part of a device id or topic'],
  period: ['Nhận trong', 'Received within'],
  anyTime: ['Mọi lúc', 'Any time'],
  reload: ['Tải lại', 'Reload'],
  file: ['Tải tệp CSV', 'Download CSV'],
  older: ['Xem cũ hơn', 'Load older'],
  looking: ['Đang tìm…', 'Looking…'],
  stop: ['Dừng', 'Stop'],
  shown: ['{n} mục', '{n} {n|entry|entries}'],
  values: ['{n} giá trị', '{n} {n|value|values}'],
  via: ['qua {who}', 'by way of {who}'],
  details: ['Chi tiết', 'Details'],
  fold: ['Thu gọn', 'Fold'],
  payload: ['Nội dung nhận được', 'Payload as received'],
  bytes: ['{n} byte', '{n} {n|byte|bytes}'],
  binary: ['nhị phân, ghi theo hệ 16', 'binary, in hexadecimal'],
  cut: ['Chỉ hiện phần đầu; tệp CSV có toàn bộ.', 'Only its beginning is shown; the CSV file has all of it.'],
  noPayload: ['Không có nội dung', 'No payload'],
  code: ['Mã lý do', 'Reason code'],
  fullSource: ['Nguồn đầy đủ', 'Full source'],
} satisfies Record<string, Both>;

/** The server's reasons: what is wrong, then what it means and what to do. */
export const reasons: Record<string, { title: Both; help: Both }> = {
  bad_json: {
    title: ['Không đọc được JSON', 'JSON that cannot be read'],
    help: ['Nội dung không phải JSON, bị cắt giữa chừng hoặc lồng quá sâu. Kiểm tra định dạng bản tin ở thiết bị hoặc bộ tập trung.', 'It is no JSON, is cut off, or is nested too deep. Check the message format in the device or gateway.'],
  },
  bad_cbor: {
    title: ['Không đọc được CBOR', 'CBOR that cannot be read'],
    help: ['Nội dung không phải CBOR, bị cắt giữa chừng hoặc vượt giới hạn. Kiểm tra định dạng bản tin ở thiết bị hoặc bộ tập trung.', 'It is no CBOR, is cut off, or is beyond its bounds. Check the message format in the device or gateway.'],
  },
  bad_shape: {
    title: ['Sai cấu trúc bản tin', 'Wrong message structure'],
    help: ['Đọc được JSON nhưng cấu trúc không đúng quy định, ví dụ thiếu “values”. Sửa bản tin ở thiết bị hoặc bộ tập trung theo tài liệu.', 'It is JSON, but not of the documented structure; “values” may be missing. Correct the message in the device or gateway.'],
  },
  bad_senml: {
    title: ['Sai chuẩn SenML', 'Not valid SenML'],
    help: ['Bản tin không theo RFC 8428, ví dụ một trường sai kiểu. Kiểm tra phần mềm của thiết bị.', 'The message breaks RFC 8428, by a field of the wrong type for instance. Check the device’s software.'],
  },
  bad_netjson: {
    title: ['Sai chuẩn NetJSON', 'Not valid NetJSON'],
    help: ['Đọc được JSON nhưng không phải loại DeviceMonitoring. Kiểm tra cấu hình giám sát của điểm phát Wifi.', 'It is JSON, but not of type DeviceMonitoring. Check the monitoring configuration of the access point.'],
  },
  bad_metric: {
    title: ['Tên chỉ số không hợp lệ', 'Metric name not valid'],
    help: ['Tên chỉ số dài 1 đến 64 ký tự a-z 0-9 _ và bắt đầu bằng chữ; tên trong SenML phải cho biết chỉ số nào. Sửa tên ở nơi gửi.', 'A metric name is 1 to 64 of a-z 0-9 _ and begins with a letter; a SenML name must tell which metric it is. Correct the name where it is sent.'],
  },
  bad_value: {
    title: ['Giá trị không phải là số', 'Value is not a number'],
    help: ['Ở chỗ cần một số lại có chuỗi, giá trị đúng/sai, đối tượng hoặc mảng. Sửa bản tin ở thiết bị hoặc bộ tập trung.', 'A string, true or false, an object or an array stands where a number belongs. Correct the message in the device or gateway.'],
  },
  bad_time: {
    title: ['Thời điểm đo không hợp lệ', 'Measurement time not valid'],
    help: ['Thời điểm đo trước năm 2000, nhanh hơn giờ máy chủ quá 5 phút, hoặc không đọc được. Kiểm tra đồng hồ, múi giờ và đồng bộ giờ (NTP) của thiết bị hoặc bộ tập trung.', 'The time lies before 2000, more than 5 minutes ahead of the server, or cannot be read. Check clock, time zone and NTP of the device or gateway.'],
  },
  not_finite: {
    title: ['Giá trị không phải số hữu hạn', 'Value is not finite'],
    help: ['Thiết bị gửi NaN, vô cực hoặc một số quá lớn. Kiểm tra cảm biến và phép quy đổi giá trị.', 'The device sent NaN, infinity or a number too large. Check the sensor and how its values are converted.'],
  },
  too_many: {
    title: ['Bản tin quá lớn', 'Message too large'],
    help: ['Quá 10.000 giá trị hoặc quá 1 MiB trong một bản tin. Chia thành nhiều bản tin nhỏ hơn.', 'More than 10,000 values or 1 MiB in one message. Divide it into smaller ones.'],
  },
  too_many_names: {
    title: ['Thiết bị có quá nhiều chỉ số', 'Too many metrics of one device'],
    help: ['Mỗi thiết bị có tối đa 1.000 chỉ số. Kiểm tra xem thiết bị có đặt tên mới cho mỗi lần gửi hay không.', 'A device has at most 1,000 metrics. Check whether it makes up a new name each time it sends.'],
  },
  not_child: {
    title: ['Bộ tập trung gửi thay thiết bị không thuộc nó', 'A gateway spoke for a device that is not its own'],
    help: ['Nếu đúng là thiết bị của bộ tập trung này, khai báo thiết bị và chọn “Thuộc bộ tập trung” ở trang Thiết bị.', 'If the device is this gateway’s, register it and choose the gateway on the Devices page.'],
  },
  ambiguous: {
    title: ['Hai tên cùng chỉ một chỉ số', 'Two names for one metric'],
    help: ['Trong một gói SenML có hai tên quy về cùng một chỉ số nên không rõ giá trị nào đúng. Đổi một trong hai tên.', 'Two names of one SenML pack come to the same metric, so that it is not clear which value counts. Change one of them.'],
  },
  bad_attributes: {
    title: ['Thuộc tính không hợp lệ', 'Attributes not valid'],
    help: ['Thuộc tính phải là một đối tượng JSON, tối đa 64 KiB và 8 tầng, của một thiết bị đã đăng ký.', 'Attributes must be a JSON object of at most 64 KiB and 8 levels, of a registered device.'],
  },
  bad_topic: {
    title: ['Chủ đề không hợp lệ', 'Topic not valid'],
    help: ['Máy chủ MQTT bên ngoài chuyển đến một chủ đề không theo quy định, ví dụ đúng là devices/sal-1/telemetry. Sửa chủ đề ở nơi gửi hoặc ở máy chủ MQTT ấy.', 'The outside MQTT broker passed on a topic that is not of the contract; devices/sal-1/telemetry would be right. Correct it where it is sent, or in that broker.'],
  },
  unknown_device: {
    title: ['Thiết bị chưa đăng ký', 'Device not registered'],
    help: ['Không có thiết bị mang mã này, hoặc có nhưng không phải bộ tập trung. Đăng ký ở trang Thiết bị, hoặc sửa mã trong chủ đề ở nơi gửi.', 'No device has this id, or it is no gateway. Register it on the Devices page, or correct the id in the topic where it is sent.'],
  },
  store_conflict: {
    title: ['InfluxDB: khác kiểu dữ liệu', 'InfluxDB: another type'],
    help: ['Trường này trong InfluxDB có kiểu khác nên điểm đo không ghi được ở đó. Kiểm tra xem chương trình nào khác cũng ghi vào bucket.', 'The field has another type in InfluxDB, so the point cannot be written there. Check what else writes to the bucket.'],
  },
  store_retention: {
    title: ['InfluxDB: quá thời hạn lưu', 'InfluxDB: beyond retention'],
    help: ['Điểm đo cũ hơn thời hạn lưu của bucket. Tăng thời hạn nếu cần giữ số liệu này ở đó.', 'The point is older than what the bucket keeps. Lengthen its retention if such data is wanted there.'],
  },
  store_refused: {
    title: ['InfluxDB từ chối', 'Refused by InfluxDB'],
    help: ['InfluxDB không nhận điểm đo này, gửi lại cũng không được. Chi tiết là lời của InfluxDB.', 'InfluxDB does not take this point, and trying again cannot help. The detail is what it said.'],
  },
};
