// Talks to a device that loops back: the simulated board's, or the kernel's gadget.
#include "usb.h"

#include <stdbool.h>
#include <string.h>

#define CHECK(condition)               \
  do {                                 \
    if (!(condition)) return __LINE__; \
  } while (0)

typedef component_usb_errors_libusb_error_t error_t;
typedef component_usb_device_borrow_device_handle_t handle_t;
typedef component_usb_transfers_own_transfer_t transfer_t;

// Sends or receives; gives the error, or -1.
static int transfer(handle_t handle, component_usb_transfers_transfer_type_t type,
                    component_usb_transfers_transfer_setup_t setup, uint8_t endpoint,
                    const char* data, uint32_t room, usb_list_u8_t* got) {
  component_usb_transfers_transfer_options_t options = {endpoint, 1000, 0, 0};
  transfer_t own;
  error_t error;
  got->len = 0;
  if (!component_usb_device_method_device_handle_new_transfer(handle, type, &setup, room, &options,
                                                              &own, &error))
    return error;
  usb_list_u8_t bytes = {(uint8_t*)data, data ? strlen(data) : 0};
  const component_usb_transfers_borrow_transfer_t borrowed =
      component_usb_transfers_borrow_transfer(own);
  if (!component_usb_transfers_method_transfer_submit_transfer(borrowed, &bytes, &error)) {
    component_usb_transfers_transfer_drop_own(own);
    return error;
  }
  return component_usb_transfers_await_transfer(own, got, &error) ? -1 : error;
}

uint32_t exports_usb_count(void) {
  usb_list_tuple3_component_usb_device_own_usb_device_component_usb_device_device_descriptor_component_usb_device_device_location_t
      list;
  error_t error;
  CHECK(component_usb_device_list_devices(&list, &error));
  return list.len;
}

uint32_t exports_usb_check(uint16_t vendor, uint16_t product) {
  error_t error;
  CHECK(component_usb_device_init(&error));
  CHECK(component_usb_usb_hotplug_enable_hotplug(&error));
  usb_list_tuple3_component_usb_device_own_usb_device_component_usb_device_device_descriptor_component_usb_device_device_location_t
      list;
  CHECK(component_usb_device_list_devices(&list, &error));
  CHECK(list.len == 1 && list.ptr[0].f1.vendor_id == vendor &&
        list.ptr[0].f1.product_id == product && list.ptr[0].f1.num_configurations == 1);
  const component_usb_device_borrow_usb_device_t device =
      component_usb_device_borrow_usb_device(list.ptr[0].f0);

  // Two bulk endpoints.
  component_usb_device_configuration_descriptor_t config;
  CHECK(component_usb_device_method_usb_device_get_configuration_descriptor(device, 0, &config,
                                                                            &error));
  CHECK(config.descriptor_type == 2 && config.interfaces.len >= 1);
  uint8_t in = 0, out = 0;
  for (size_t i = 0; i < config.interfaces.ptr[0].endpoints.len; ++i) {
    const component_usb_descriptors_endpoint_descriptor_t* e =
        &config.interfaces.ptr[0].endpoints.ptr[i];
    CHECK((e->attributes & 3) == 2 && e->max_packet_size >= 64);
    *(e->endpoint_address & 0x80 ? &in : &out) = e->endpoint_address;
  }
  CHECK(in && out);
  const uint8_t value = config.configuration_value;
  component_usb_device_configuration_descriptor_free(&config);
  CHECK(!component_usb_device_method_usb_device_get_configuration_descriptor(device, 7, &config,
                                                                             &error));
  CHECK(error == COMPONENT_USB_ERRORS_LIBUSB_ERROR_NOT_FOUND);
  CHECK(component_usb_device_method_usb_device_get_configuration_descriptor_by_value(
      device, value, &config, &error));
  component_usb_device_configuration_descriptor_free(&config);

  component_usb_device_own_device_handle_t own;
  CHECK(component_usb_device_method_usb_device_open(device, &own, &error));
  const handle_t handle = component_usb_device_borrow_device_handle(own);
  uint8_t current;
  CHECK(component_usb_device_method_device_handle_get_configuration(handle, &current, &error) &&
        current == value);
  bool active = true;
  CHECK(component_usb_device_method_device_handle_kernel_driver_active(handle, 0, &active, &error));
  if (active)
    CHECK(component_usb_device_method_device_handle_detach_kernel_driver(handle, 0, &error));
  CHECK(component_usb_device_method_device_handle_claim_interface(handle, 0, &error));

  const component_usb_transfers_transfer_setup_t none = {0, 0, 0, 0};
  usb_list_u8_t got;
  CHECK(transfer(handle, COMPONENT_USB_TRANSFERS_TRANSFER_TYPE_BULK, none, out, "over there", 0,
                 &got) == -1);
  CHECK(transfer(handle, COMPONENT_USB_TRANSFERS_TRANSFER_TYPE_BULK, none, in, NULL, 512, &got) ==
        -1);
  CHECK(got.len == 10 && memcmp(got.ptr, "over there", 10) == 0);
  usb_list_u8_free(&got);
  // A request that nobody knows.
  const component_usb_transfers_transfer_setup_t unknown = {0xC0, 0x77, 0, 0};
  CHECK(transfer(handle, COMPONENT_USB_TRANSFERS_TRANSFER_TYPE_CONTROL, unknown, 0, NULL, 8,
                 &got) == COMPONENT_USB_ERRORS_LIBUSB_ERROR_PIPE);
  // Nothing comes any more: cancelled, and in time.
  const component_usb_transfers_transfer_options_t options = {in, 0, 0, 0};
  transfer_t waiting;
  CHECK(component_usb_device_method_device_handle_new_transfer(
      handle, COMPONENT_USB_TRANSFERS_TRANSFER_TYPE_BULK, (void*)&none, 64, (void*)&options,
      &waiting, &error));
  component_usb_transfers_borrow_transfer_t borrowed =
      component_usb_transfers_borrow_transfer(waiting);
  usb_list_u8_t empty = {NULL, 0};
  CHECK(!component_usb_transfers_method_transfer_cancel_transfer(borrowed, &error));
  CHECK(error == COMPONENT_USB_ERRORS_LIBUSB_ERROR_NOT_FOUND);
  CHECK(component_usb_transfers_method_transfer_submit_transfer(borrowed, &empty, &error));
  CHECK(!component_usb_transfers_method_transfer_submit_transfer(borrowed, &empty, &error));
  CHECK(error == COMPONENT_USB_ERRORS_LIBUSB_ERROR_BUSY);
  CHECK(component_usb_transfers_method_transfer_cancel_transfer(borrowed, &error));
  CHECK(!component_usb_transfers_await_transfer(waiting, &got, &error));
  CHECK(error == COMPONENT_USB_ERRORS_LIBUSB_ERROR_INTERRUPTED);
  CHECK(transfer(handle, COMPONENT_USB_TRANSFERS_TRANSFER_TYPE_BULK, none, in, NULL, 64, &got) ==
        COMPONENT_USB_ERRORS_LIBUSB_ERROR_TIMEOUT);
  // One that is dropped while it is under way, and one that is too large.
  CHECK(component_usb_device_method_device_handle_new_transfer(
      handle, COMPONENT_USB_TRANSFERS_TRANSFER_TYPE_BULK, (void*)&none, 64, (void*)&options,
      &waiting, &error));
  borrowed = component_usb_transfers_borrow_transfer(waiting);
  CHECK(component_usb_transfers_method_transfer_submit_transfer(borrowed, &empty, &error));
  component_usb_transfers_transfer_drop_own(waiting);
  CHECK(!component_usb_device_method_device_handle_new_transfer(
      handle, COMPONENT_USB_TRANSFERS_TRANSFER_TYPE_BULK, (void*)&none, 0x7FFFFFFF, (void*)&options,
      &waiting, &error));
  CHECK(error == COMPONENT_USB_ERRORS_LIBUSB_ERROR_NO_MEM);

  CHECK(component_usb_device_method_device_handle_release_interface(handle, 0, &error));
  component_usb_device_method_device_handle_close(handle);
  CHECK(!component_usb_device_method_device_handle_claim_interface(handle, 0, &error));
  CHECK(error == COMPONENT_USB_ERRORS_LIBUSB_ERROR_NO_DEVICE);
  component_usb_device_device_handle_drop_own(own);

  usb_list_tuple3_component_usb_usb_hotplug_event_component_usb_usb_hotplug_info_component_usb_device_own_usb_device_t
      events;
  component_usb_usb_hotplug_poll_events(&events);
  CHECK(events.len == 0);
  return 0;
}
